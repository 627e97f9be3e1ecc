"""Interfaces that only a ROS installation holds: found when an output needs them, else refused."""

from __future__ import annotations

import importlib
from typing import Any

from vla_ros.errors import VlaError
from vla_ros.robot.spec.robot import OutputSpec, RobotSpec

LIST = "controller_manager_msgs/srv/ListControllers"
SWITCH = "controller_manager_msgs/srv/SwitchController"
SERVO_TYPE = "moveit_msgs/srv/ServoCommandType"
SERVO = ("servo_twist", "servo_joint_jog", "servo_pose")
"""Controllers that are MoveIt Servo."""

JOINT_JOG = "control_msgs/msg/JointJog"
ACTIONS = {
    "follow_joint_trajectory": "control_msgs/action/FollowJointTrajectory",
    "gripper_command": "control_msgs/action/GripperCommand",
    "parallel_gripper_command": "control_msgs/action/ParallelGripperCommand",
}


class NotInstalledError(VlaError):
    """An output needs an interface package that this Python does not find."""


def needs_of(output: OutputSpec) -> tuple[str, ...]:
    """Interfaces that an output needs beyond ROS's common ones, as ``package/kind/Name``."""
    needs = []
    if output.controller in ACTIONS:
        needs.append(ACTIONS[output.controller])
    if output.controller == "servo_joint_jog":
        needs.append(JOINT_JOG)
    if output.controller in SERVO:
        needs.append(SERVO_TYPE)
    if output.controllers is not None:
        needs += [LIST, SWITCH]
    return tuple(needs)


def interface(name: str, wanted_by: str) -> Any:
    """The class of an interface.

    Args:
        name: As ``package/kind/Name``.
        wanted_by: Who needs it, for the error.

    Raises:
        NotInstalledError: It is not installed.
    """
    package, kind, kind_name = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), kind_name)
    except (ImportError, AttributeError):
        apt = f"ros-$ROS_DISTRO-{package.replace('_', '-')}"
        raise NotInstalledError(
            f"{wanted_by} needs {name}, which is not installed here; install it (sudo apt install "
            f"{apt}) and source the installation, or use another controller in the robot file"
        ) from None


def check_installed(spec: RobotSpec) -> None:
    """Look for what the outputs of a robot need.

    Raises:
        NotInstalledError: Something is not installed.
    """
    for output in spec.outputs:
        for name in needs_of(output):
            interface(name, f"output '{output.name}' ({output.controller})")
