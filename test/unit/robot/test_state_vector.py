"""Poses of links in the state, and the order of the vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from vla_ros.robot.load import RobotFileError, load_robot, robot_path
from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.sim.kinematics import LOWER, UPPER, forward
from vla_ros.spaces import Observation, TimeContract
from vla_ros.spaces.rotations import ROTATION_SIZES, from_matrix, matrix_from

MS = 1_000_000
BASE = load_robot("sim_arm")
ARM = [f"joint{i}" for i in range(1, 7)]
JOINTS = [*ARM, "finger_joint"]
HAND = Kinematics(BASE.urdf_text, ARM, "base_link")
LOSS = {"tolerance_s": 0.05, "on_loss": "skip"}


def robot(anchor: str = "state", **state: Any) -> RobotSpec:
    values = BASE.model_dump()
    values["poses"], values["anchor"] = {}, anchor
    values["cameras"] = values["cameras"][:1] if anchor == "front" else ()
    values["state"] = {"topic": "/joint_states", "joints": JOINTS, **LOSS, **state}
    return RobotSpec.model_validate(values).with_urdf(BASE.urdf_text)


def contract(state_at: str = "capture") -> TimeContract:
    return TimeContract(
        image_latency_ns={"front": 30 * MS}, state_at=state_at, action_offset_ns=0, dt_ns=50 * MS,
        interpolation="linear",
    )  # fmt: skip


def seen(observer: Observer, t_ms: int) -> np.ndarray:
    result = observer.observe(t_ms * MS)
    assert isinstance(result, Observation), result
    return result.state


@pytest.mark.parametrize("form", ROTATION_SIZES)
def test_the_hand_is_where_the_joints_of_the_same_instant_bring_it(form) -> None:
    spec = robot(poses=[{"name": "hand", "link": "tcp", "rotation": form}])
    assert spec.state_space().kinds[7:10] == ("pose_pos",) * 3
    assert spec.state_space().dim == 10 + ROTATION_SIZES[form]
    observer = Observer(spec, contract())
    q = np.random.default_rng(2).uniform(0.5 * LOWER, 0.5 * UPPER)
    observer.push_joints(10 * MS, dict(zip(JOINTS, [*q, 0.02], strict=True)), 10 * MS)
    state = seen(observer, 60)
    np.testing.assert_allclose(state[:7], [*q, 0.02])
    position, rotation = forward(q[None])
    np.testing.assert_allclose(state[7:10], position[0], atol=1e-9)
    turned = matrix_from(form, state[10:])
    # The URDF's tcp looks along z, the closed form's along x; the fingers open along y in both.
    np.testing.assert_allclose(turned[:, 2], rotation[0, :, 0], atol=1e-9)
    np.testing.assert_allclose(turned[:, 1], rotation[0, :, 1], atol=1e-9)


@pytest.mark.parametrize(("state_at", "due_ms"), [("capture", 105), ("decision", 135)])
def test_the_hand_is_matched_to_the_picture_as_the_joints_are(state_at, due_ms) -> None:
    """Joints at 100 Hz between whose samples the picture falls; the pose is of the same instant."""
    spec = robot("front", poses=[{"name": "hand", "link": "tcp", "rotation": "axis_angle"}])
    observer = Observer(spec, contract(state_at))
    start, speed = 0.2 * UPPER, np.array([0.5, -0.4, 0.3, 0.6, -0.2, 0.4])
    picture = np.random.default_rng(0).integers(0, 255, (360, 480, 3), dtype=np.uint8)
    for t_ms in range(0, 200, 10):
        q = [*(start + speed * t_ms * 1e-3), 0.02]
        observer.push_joints(t_ms * MS, dict(zip(JOINTS, q, strict=True)), t_ms * MS)
        if t_ms == 110:
            observer.push_image("front", 105 * MS, picture, t_ms * MS)
    state = seen(observer, 200)
    q = start + speed * due_ms * 1e-3
    np.testing.assert_allclose(state[:6], q, atol=1e-9)
    position, rotation = HAND.poses(q[None], "tcp")
    np.testing.assert_allclose(state[7:10], position[0], atol=1e-9)
    np.testing.assert_allclose(state[10:], from_matrix("axis_angle", rotation[0]), atol=1e-9)


def test_the_vector_has_what_is_asked_for_in_the_order_that_is_asked_for() -> None:
    spec = robot(
        poses=[{"name": "hand", "link": "tcp", "frame": "link1", "rotation": "rpy"}],
        vector=["hand_position", "hand_rotation", "finger_joint"],
    )
    assert spec.state_space().names == (
        "hand_x", "hand_y", "hand_z", "hand_roll", "hand_pitch", "hand_yaw", "finger_joint",
    )  # fmt: skip
    assert spec.state_space().kinds[-1] == "position"
    observer = Observer(spec, contract())
    q = 0.3 * UPPER
    observer.push_joints(10 * MS, dict(zip(JOINTS, [*q, 0.02], strict=True)), 10 * MS)
    position, rotation = Kinematics(BASE.urdf_text, ARM, "link1").poses(q[None], "tcp")
    expected = [*position[0], *from_matrix("rpy", rotation[0]), 0.02]
    np.testing.assert_allclose(seen(observer, 60), expected, atol=1e-9)


def test_a_vector_of_what_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(ValidationError, match="names elbow, expected slices or elements of the"):
        robot(vector=["joints", "elbow"])


def test_a_pose_that_depends_on_a_joint_nobody_measures_is_refused() -> None:
    spec = robot(joints=["joint1", "joint2"], poses=[{"name": "hand", "link": "tcp"}])
    with pytest.raises(KinematicsError, match="depends on joint3, joint4, joint5, joint6, which"):
        Observer(spec, contract())


def test_a_robot_file_with_a_link_that_is_not_in_the_urdf_is_refused_with_its_line(tmp_path):
    text = robot_path("sim_arm_ee").read_text(encoding="utf-8")
    wrong = tmp_path / "robot.yaml"
    wrong.write_text(text.replace("link: tcp", "link: tpc"), encoding="utf-8")
    with pytest.raises(RobotFileError, match="link 'tpc' is not in the URDF") as refused:
        load_robot(wrong)
    assert "did you mean 'tcp'" in str(refused.value)
    assert f"{wrong}:{text[: text.index('state:')].count(chr(10)) + 1}" in str(refused.value)
    assert f"{wrong}:{text[: text.index('action:')].count(chr(10)) + 1}" in str(refused.value)
