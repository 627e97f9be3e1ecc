"""MoveIt Servo's command type and pause are set before twists, joint velocities or poses are sent.

Needs control_msgs and moveit_msgs of a ROS installation; Servo itself is played by the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("control_msgs.msg", reason="control_msgs is not installed")
pytest.importorskip("moveit_msgs.srv", reason="moveit_msgs is not installed")

from control_msgs.msg import JointJog
from driven import AXIS, Driven, gantry_values, leading, robot_values
from geometry_msgs.msg import PoseStamped, TwistStamped
from moveit_msgs.srv import ServoCommandType
from stage import Stage, stage
from std_srvs.srv import SetBool
from vla_ros_msgs.msg import Commanded

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

TIMEOUT = "Servo's incoming_command_timeout of 0.1 s"
JOG = {"controller": "servo_joint_jog", "topic": "/servo/delta_joint_cmds", "joints": ["lift"]}
TWIST = {
    "controller": "servo_twist",
    "topic": "/servo/delta_twist_cmds",
    "joints": ["z", "yaw"],
    "frame": "tool0",
    "limits": {"z": AXIS, "yaw": AXIS},
}
ARM = {"controller": "joint_trajectory", "topic": "/arm/joint_trajectory"}
GRIPPER = {"controller": "forward_position", "topic": "/gripper/commands"}


def servo(on: Stage) -> list[Any]:
    """Serves what Servo does; what it is told, in order."""
    told: list[Any] = []

    def set_type(request: Any, response: Any) -> Any:
        told.append(request.command_type)
        response.success = True
        return response

    def pause(request: Any, response: Any) -> Any:
        told.append(request.data)
        response.success = True
        return response

    on.node.create_service(ServoCommandType, "/servo/switch_command_type", set_type)
    on.node.create_service(SetBool, "/servo/pause_servo", pause)
    return told


@pytest.mark.parametrize(
    ("output", "kind", "wanted"),
    [
        (JOG, JointJog, ServoCommandType.Request.JOINT_JOG),
        (TWIST, TwistStamped, ServoCommandType.Request.TWIST),
    ],
    ids=lambda value: value["controller"] if isinstance(value, dict) else "",
)
def test_servo_is_started_before_anything_is_sent(
    tmp_path: Path, output: dict[str, Any], kind: type, wanted: int
) -> None:
    values = robot_values(arm=ARM, gripper=GRIPPER)
    index = 2 if output is JOG else 3
    values["outputs"][index] = {
        "name": values["outputs"][index]["name"],
        "on_host_loss": TIMEOUT,
        **output,
    }
    with stage() as on:
        sent: list[Any] = []
        on.node.create_subscription(kind, output["topic"], sent.append, 50)
        robot = Driven(on, tmp_path, values)
        robot.until(Commanded.IDLE, "the bridge to wait for Servo")
        on.wait(lambda: on.says("control_bridge", "nobody serves"), "diagnostics that say so")
        assert sent == []
        told = servo(on)
        robot.until(Commanded.HOLDING, "the bridge in command")
        assert told == [wanted, False]
        if output is JOG:
            robot.drive(lambda: bool(sent) and sent[-1].velocities[0] > 0.19, "the jog")
            assert list(sent[-1].joint_names) == ["lift"]
        else:
            robot.drive(lambda: bool(sent) and sent[-1].twist.linear.z > 0.25, "the twist")
            assert sent[-1].twist.angular.z < -0.15
            assert sent[-1].header.frame_id == "tool0"
        assert on.stop("control_bridge") == 0

        def zero() -> bool:
            last = sent[-1]
            return (last.velocities[0] if output is JOG else last.twist.linear.z) == 0.0

        on.wait(zero, "zero as the last word", 3.0)


def test_servo_is_switched_to_poses_before_any_is_sent(tmp_path: Path) -> None:
    values = gantry_values(
        tmp_path, {"controller": "servo_pose", "topic": "/servo/pose_target_cmds"}
    )
    with stage() as on:
        sent: list[PoseStamped] = []
        on.node.create_subscription(PoseStamped, "/servo/pose_target_cmds", sent.append, 50)
        robot = Driven(on, tmp_path, values, rows=leading)
        robot.until(Commanded.IDLE, "the bridge to wait for Servo")
        on.wait(lambda: on.says("control_bridge", "nobody serves"), "diagnostics that say so")
        assert sent == []
        told = servo(on)
        robot.until(Commanded.HOLDING, "the bridge in command")
        assert told == [ServoCommandType.Request.POSE, False]
        robot.drive(lambda: bool(sent) and sent[-1].pose.position.x > 0.1, "the pose on its way")
        assert sent[-1].header.frame_id == "base"
