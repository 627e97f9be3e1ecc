"""Outputs that are actions of ros2_controllers: trajectories and grippers.

Messages: control_msgs (https://github.com/ros-controls/control_msgs).
"""

from __future__ import annotations

from typing import Any

from rclpy.action import ActionClient
from sensor_msgs.msg import JointState

from vla_ros.motion import TrajectoryWindow
from vla_ros.robot.spec.robot import OutputSpec
from vla_ros.ros.conversions.trajectory import trajectory_msg
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.outputs.goals import NewestGoal
from vla_ros.ros.outputs.installed import ACTIONS, interface


def trajectory_goal(kind: Any, output: OutputSpec, window: TrajectoryWindow) -> Any:
    """A rolling window as FollowJointTrajectory goal; the server's own tolerances hold."""
    return kind.Goal(trajectory=trajectory_msg(window, output.joints))


def gripper_goal(kind: Any, output: OutputSpec, position: float) -> Any:
    """A position as GripperCommand or ParallelGripperCommand goal."""
    goal = kind.Goal()
    if output.controller == "gripper_command":
        goal.command.position = position
        goal.command.max_effort = output.max_effort or 0.0
    else:
        effort = [] if output.max_effort is None else [output.max_effort]
        goal.command = JointState(name=list(output.joints), position=[position], effort=effort)
    return goal


class ActionOutput:
    """One output behind an action.

    Args:
        node: Owns the client.
        output: From the robot file.
    """

    def __init__(self, node: VlaNode[Any], output: OutputSpec) -> None:
        self._output = output
        self._kind = interface(ACTIONS[output.controller], f"output '{output.name}'")
        trajectories = output.controller == "follow_joint_trajectory"
        self._goal_of = trajectory_goal if trajectories else gripper_goal
        client = ActionClient(node, self._kind, output.topic)
        node.on_release(client.destroy)
        self._goals = NewestGoal(client)

    @property
    def problem(self) -> str:
        """Why it is not being followed, else empty."""
        return self._goals.problem and f"{self._output.topic}: {self._goals.problem}"

    def send(self, payload: Any, now_ns: int) -> None:
        """Send a window, or a gripper's position."""
        self._goals.send(self._goal_of(self._kind, self._output, payload))

    def tick(self) -> None:
        """To be called each control period."""
        self._goals.tick()
