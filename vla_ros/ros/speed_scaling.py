"""The robot's speed slider on its topic, and a slider that nobody has declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Float64

from vla_ros.robot.spec.speed_scaling import SpeedScalingSpec
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.outputs.installed import interface

BROADCAST = "/speed_scaling"
"""End of the topic on which ur_controllers' speed_scaling_state_broadcaster publishes."""

LOOK_PERIOD_S = 2.0


def listen(
    node: VlaNode[Any], spec: SpeedScalingSpec | None, take: Callable[[float], None]
) -> None:
    """Hear the slider; where none is declared, warn of one. Call it where the node activates.

    Raises:
        NotInstalledError: Its message is not installed.
    """
    if spec is None:

        def warn() -> None:
            words = undeclared(node)
            if words:
                node.get_logger().warning(words, throttle_duration_sec=60.0)

        node.every_steady(LOOK_PERIOD_S, warn)
    elif spec.kind == "controller_state":
        kind = interface("control_msgs/msg/JointTrajectoryControllerState", "speed_scaling")
        node.sensor(kind, spec.topic, lambda m: take(m.speed_scaling_factor), "joint_state")
    else:
        node.sensor(Float64, spec.topic, lambda m: take(m.data), "joint_state")


def undeclared(node: Node) -> str:
    """What to do about a slider that somebody publishes; empty without one."""
    for topic, kinds in node.get_topic_names_and_types():
        if topic.endswith(BROADCAST) and "std_msgs/msg/Float64" in kinds:
            return (
                f"this robot has a speed slider ({topic}): below 100 % its controller would jump "
                f"at every message; write 'speed_scaling: {{topic: {topic}}}' into the robot file"
            )
    return ""
