"""From plans to smooth, limited commands. Ring 1: numpy and ruckig, no clock, no ROS."""

from __future__ import annotations

from vla_ros.motion.joint_motion import JointMotion
from vla_ros.motion.limits import MotionLimits, MotionRefused
from vla_ros.motion.setpoint import MotionState, Setpoint, TrajectoryWindow
from vla_ros.motion.twist import VelocityMotion, VelocitySetpoint

__all__ = [
    "JointMotion",
    "MotionLimits",
    "MotionRefused",
    "MotionState",
    "Setpoint",
    "TrajectoryWindow",
    "VelocityMotion",
    "VelocitySetpoint",
]
