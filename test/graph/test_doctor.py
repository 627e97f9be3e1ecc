"""`vla doctor` beside a graph in which several things are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from drivers import JOINTS, Drivers, small_robot
from rclpy.qos import QoSProfile, ReliabilityPolicy
from safetensors.numpy import save_file
from sensor_msgs.msg import Image
from stage import Stage, stage
from vla_ros_msgs.msg import Observation

pytestmark = [pytest.mark.graph, pytest.mark.timeout(120)]


def checkpoint(folder: Path) -> Path:
    """Statistics of a robot whose second joint speaks degrees."""
    folder.mkdir()
    names = [*JOINTS, "finger_joint"]
    (folder / "config.json").write_text(json.dumps({"state_names": names}))
    step = {"registry_name": "normalizer_processor", "state_file": "step.safetensors"}
    (folder / "policy_preprocessor.json").write_text(json.dumps({"steps": [step]}))
    mean, std = np.full(7, 0.1, np.float32), np.array([0.3] * 6 + [0.01], np.float32)
    mean[1] = 30.0
    save_file(
        {"observation.state.mean": mean, "observation.state.std": std}, folder / "step.safetensors"
    )
    return folder


def asked(made: Stage, robot: Path, *options: object) -> str:
    """What the doctor says, who is not content."""
    argv = ["doctor", "--robot", robot, "--seconds", "2", *options]
    doctor = subprocess.Popen(
        [sys.executable, "-m", "vla_ros.cli.main", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    made.wait(lambda: doctor.poll() is not None, "the doctor")
    assert doctor.stdout is not None
    said = " ".join(doctor.stdout.read().split())
    assert doctor.returncode == 1, said
    return said


def test_the_doctor_says_what_is_wrong_and_where_and_what_is_well(tmp_path: Path) -> None:
    robot = small_robot(tmp_path)
    with stage() as made:
        drivers = Drivers(made)
        drivers.positions = {**dict.fromkeys(JOINTS, 0.1), "finger_joint": 0.1}
        made.start("observation_sync", robot=robot)
        seen: list[Observation] = []
        made.node.create_subscription(Observation, "observation", seen.append, 1)
        made.wait(lambda: len(seen) > 3, "observations")
        # Somebody asks for reliable pictures of a driver that offers best effort.
        drivers.connect("front", Image, ReliabilityPolicy.BEST_EFFORT)
        greedy = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        made.node.create_subscription(Image, "/camera/front/image_raw", lambda _: None, greedy)
        # The host of the policy has another time.
        values = {"policy server clock offset [s]": "-7.5", "policy server round trip [s]": "0.002"}
        status = DiagnosticStatus(
            name="vla_ros: policy",
            message="nano",
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        diagnostics = made.node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        tell = DiagnosticArray(status=[status])
        made.node.create_timer(0.2, lambda: diagnostics.publish(tell))
        said = asked(made, robot, "--policy", checkpoint(tmp_path / "p"))
    for words in (
        "✓ node observation_sync",
        "✗ node control_bridge is not up",
        "✓ /joint_states",
        "asks for more on /camera/front/image_raw than",
        "✓ /vla/observation",
        "stream sample off age rate dropped",
        "✓ wrist OK +0.0 ms",
        "/vla/commanded nobody publishes it: is control_bridge up?",
        "the policy server's clock is 7.500 s behind ours",
        "in the training data 30.000 ± 0.300: beyond the joint's limits",
    ):
        assert words in said, said


def test_the_doctor_names_the_joints_that_a_driver_does_not_publish(tmp_path: Path) -> None:
    with stage() as made:
        drivers = Drivers(made)
        drivers.positions = {"elbow" if k == "joint3" else k: 0.1 for k in drivers.positions}
        said = asked(made, small_robot(tmp_path))
    assert "✗ node observation_sync is not up" in said
    words = said.partition("✗ /joint_states")[2]
    assert "joints are missing: joint3" in words
    assert "got joint1, joint2, elbow, joint4" in words
