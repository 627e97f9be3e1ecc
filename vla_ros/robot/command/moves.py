"""Moves to the named poses of a robot file, one at a time."""

from __future__ import annotations

import numpy as np

from vla_ros.chunks import Refusal
from vla_ros.motion import MotionRefused
from vla_ros.robot.command.execution import Execution
from vla_ros.robot.spec.robot import RobotSpec


class PoseMoves:
    """The move under way.

    Args:
        spec: The robot file.
        execution: What moves.

    Attributes:
        pose: Where to, while a move is under way; else empty.
    """

    def __init__(self, spec: RobotSpec, execution: Execution) -> None:
        self._poses = spec.poses
        self._execution = execution
        self._start_ns = 0
        self._duration_ns = 1
        self.pose = ""

    def unknown(self, pose: str) -> Refusal | None:
        """Why there is no such pose, if there is none."""
        if pose in self._poses:
            return None
        known = ", ".join(self._poses) or "none"
        return Refusal(
            reason="unknown_pose", text=f"pose '{pose}' is unknown; the robot file has: {known}"
        )

    def begin(self, pose: str, speed: float, now_ns: int) -> Refusal | None:
        """Move to a pose; joints it does not name stay."""
        try:
            duration_ns = self._execution.go_to(self._poses[pose], speed, now_ns)
        except MotionRefused as error:
            return Refusal(reason="motion", text=f"go_to '{pose}': {error}")
        self.pose, self._start_ns, self._duration_ns = pose, now_ns, max(1, duration_ns)
        return None

    def progress(self, now_ns: int) -> float | None:
        """Share of the move done, in [0, 1]; None when none is under way."""
        if not self.pose:
            return None
        return float(np.clip((now_ns - self._start_ns) / self._duration_ns, 0.0, 1.0))

    def forget(self) -> None:
        """The move is done, or something else has begun."""
        self.pose = ""
