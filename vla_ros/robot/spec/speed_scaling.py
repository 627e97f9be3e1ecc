"""Where the robot says how much slower it executes than it is told."""

from __future__ import annotations

from typing import Literal

from vla_ros.robot.spec.base import Name, Positive, Strict, to_ns


class SpeedScalingSpec(Strict):
    """Topic of the robot's speed slider.

    ``percent``: std_msgs/Float64, 0 to 100, as ur_controllers' speed_scaling_state_broadcaster
    publishes it. ``fraction``: the same from 0 to 1. ``controller_state``:
    control_msgs/JointTrajectoryControllerState, as ros2_control's JointTrajectoryController does.
    """

    topic: Name
    kind: Literal["percent", "fraction", "controller_state"] = "percent"
    max_age_s: Positive = 0.5

    @property
    def max_age_ns(self) -> int:
        """Longest silence while the robot moves."""
        return to_ns(self.max_age_s)

    @property
    def full_speed(self) -> float:
        """What the topic says at full speed."""
        return 100.0 if self.kind == "percent" else 1.0
