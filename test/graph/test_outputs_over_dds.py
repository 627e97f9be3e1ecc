"""One action vector over many outputs, through the real bridge, and its last words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from driven import Driven, robot_values
from geometry_msgs.msg import TwistStamped
from stage import stage
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory
from vla_ros_msgs.msg import Commanded

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

ARM = {"controller": "forward_position", "topic": "/arm/commands"}
WINDOWS = {"controller": "joint_trajectory", "topic": "/arm/joint_trajectory"}
GRIPPER = {"controller": "forward_position", "topic": "/gripper/commands"}


def test_an_interrupted_bridge_brakes_what_is_streamed_before_it_goes(tmp_path: Path) -> None:
    with stage() as on:
        arm: list[list[float]] = []
        grip: list[float] = []
        lift: list[float] = []
        base: list[TwistStamped] = []
        node = on.node
        node.create_subscription(
            Float64MultiArray, "/arm/commands", lambda m: arm.append(list(m.data)), 50
        )
        node.create_subscription(
            Float64MultiArray, "/gripper/commands", lambda m: grip.append(m.data[0]), 50
        )
        node.create_subscription(
            Float64MultiArray, "/lift_controller/commands", lambda m: lift.append(m.data[0]), 50
        )
        node.create_subscription(TwistStamped, "/cmd_vel", base.append, 50)
        robot = Driven(on, tmp_path, robot_values(arm=ARM, gripper=GRIPPER))
        robot.until(Commanded.HOLDING, "the bridge in command")
        robot.drive(
            lambda: lift[-1] > 0.19 and base[-1].twist.linear.x > 0.25 and arm[-1][0] > 0.05,
            "arm, lift and base on their way",
        )
        assert on.stop("control_bridge") == 0, on.printed("control_bridge")
        on.wait(lambda: lift[-1] == 0.0, "the lift's last command to be zero", 3.0)
        on.wait(lambda: base[-1].twist.linear.x == 0.0, "the base's to be zero", 3.0)
        assert base[-1].twist.angular.z == 0.0
        assert 0.0 < min(value for value in lift if value > 0.0) < 0.15, "it braked"

        def slow() -> bool:
            steps = np.abs(np.diff(np.array(arm[-40:]), axis=0)).max(axis=1)
            return bool(steps[-1] < 0.2 * steps.max())

        on.wait(slow, "a streamed position that does not stop dead", 3.0)
        assert grip == [0.0]


def test_each_output_gets_its_own_message_at_its_own_rate(tmp_path: Path) -> None:
    with stage() as on:
        counts = {"/arm/joint_trajectory": 0, "/cmd_vel": 0, "/lift_controller/commands": 0}

        def count(topic: str, kind: type) -> None:
            def heard(_: object) -> None:
                counts[topic] += 1

            on.node.create_subscription(kind, topic, heard, 100)

        count("/arm/joint_trajectory", JointTrajectory)
        count("/cmd_vel", TwistStamped)
        count("/lift_controller/commands", Float64MultiArray)
        robot = Driven(on, tmp_path, robot_values(arm=WINDOWS | {"rate_hz": 50}, gripper=GRIPPER))
        robot.until(Commanded.HOLDING, "the bridge in command")
        robot.drive(lambda: counts["/lift_controller/commands"] > 50, "commands")
        before = dict(counts)
        on.wait(
            lambda: (
                counts["/lift_controller/commands"] >= before["/lift_controller/commands"] + 100
            ),
            "more",
            30.0,
        )
        sent = {topic: counts[topic] - before[topic] for topic in counts}
        assert sent["/arm/joint_trajectory"] == pytest.approx(50, abs=5)
        assert sent["/cmd_vel"] == pytest.approx(20, abs=3)
