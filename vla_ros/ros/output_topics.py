"""The topics that the control bridge drives a robot with: one publisher for each output."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from vla_ros.robot.commands import Commands
from vla_ros.robot.spec import RobotSpec
from vla_ros.ros.conversions.arrays import packed
from vla_ros.ros.conversions.bridge import twist_msg, twist_stamped_msg
from vla_ros.ros.conversions.trajectory import trajectory_msg
from vla_ros.ros.lifecycle import VlaNode

_TYPES: dict[str, type[Any]] = {
    "forward_position": Float64MultiArray,
    "twist": Twist,
    "twist_stamped": TwistStamped,
}


class OutputTopics:
    """Publishes commands.

    Args:
        node: Owns the publishers.
        spec: The robot file.
    """

    def __init__(self, node: VlaNode[Any], spec: RobotSpec) -> None:
        self._spec = spec
        self._publishers = {
            output.name: node.publisher(
                _TYPES.get(output.controller, JointTrajectory),
                output.topic,
                "command",
                counted=True,
            )
            for output in spec.outputs
        }

    def send(self, commands: Commands, now_ns: int) -> None:
        """Send what is due in this control period."""
        for name, window in commands.windows:
            joints = self._spec.output(name).joints
            self._publishers[name].publish(trajectory_msg(window, joints))
        for name, position in commands.positions:
            self._publishers[name].publish(Float64MultiArray(data=packed(position, "d")))
        for name, velocity in commands.twists:
            if self._spec.output(name).controller == "twist_stamped":
                message: Any = twist_stamped_msg(velocity, now_ns, self._spec.base_frame)
            else:
                message = twist_msg(velocity)
            self._publishers[name].publish(message)
