"""Outputs that are topics."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from rclpy.duration import Duration
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from vla_ros.robot.spec.robot import OutputSpec
from vla_ros.ros.conversions.arrays import packed
from vla_ros.ros.conversions.bridge import pose_stamped_msg, twist_msg, twist_stamped_msg
from vla_ros.ros.conversions.times import header
from vla_ros.ros.conversions.trajectory import trajectory_msg
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.outputs.installed import JOINT_JOG, interface

ARRIVAL = Duration(seconds=0.2)

_TYPES: dict[str, type[Any]] = {
    "joint_trajectory": JointTrajectory,
    "joint_trajectory_chunks": JointTrajectory,
    "twist": Twist,
    "twist_stamped": TwistStamped,
    "servo_twist": TwistStamped,
    "servo_pose": PoseStamped,
    "pose_stamped": PoseStamped,
}


def command_msg(output: OutputSpec, payload: Any, now_ns: int, base_frame: str) -> Any:
    """The message of an output's controller.

    Args:
        output: From the robot file.
        payload: A `TrajectoryWindow` for those that take windows; else values in the order of the
            output's joints or axes, or a pose. Shape (D,).
        now_ns: ROS time, in [ns].
        base_frame: Frame of a pose, of a base's velocity, and of an end effector's unless the
            output has one.
    """
    if output.takes_windows:
        return trajectory_msg(payload, output.joints)
    if output.is_twist:
        velocity = dict(zip(output.joints, payload.tolist(), strict=True))
        if output.controller == "twist":
            return twist_msg(velocity)
        return twist_stamped_msg(velocity, now_ns, output.frame or base_frame)
    if output.is_pose:
        return pose_stamped_msg(payload, now_ns, base_frame)
    if output.controller == "servo_joint_jog":
        return interface(JOINT_JOG, f"output '{output.name}'")(
            header=header(now_ns, base_frame),
            joint_names=list(output.joints),
            velocities=packed(payload, "d"),
        )
    return Float64MultiArray(data=packed(payload, "d"))


class TopicOutput:
    """One output behind a topic.

    Args:
        node: Owns the publisher.
        output: From the robot file.
        base_frame: See `command_msg`.
    """

    problem = ""

    def __init__(self, node: VlaNode[Any], output: OutputSpec, base_frame: str) -> None:
        self._output = output
        self._base_frame = base_frame
        kind = _TYPES.get(output.controller, Float64MultiArray)
        if output.controller == "servo_joint_jog":
            kind = interface(JOINT_JOG, f"output '{output.name}'")
        self._publisher = node.publisher(kind, output.topic, "command", counted=True)

    def send(self, payload: Any, now_ns: int) -> None:
        """Send a window, or values."""
        message = command_msg(self._output, payload, now_ns, self._base_frame)
        self._publisher.publish(message)

    def tick(self) -> None:
        """Nothing to follow up."""

    def flush(self) -> None:
        """Wait a moment until everything sent has arrived; a publisher takes the rest with it."""
        self._publisher.wait_for_all_acked(ARRIVAL)
