"""Stands in for the motion of joints on a robot without position-controlled ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Interpolation
from vla_ros.motion import MotionState, Setpoint, TrajectoryWindow

FloatArray = npt.NDArray[np.float64]


class NoJoints:
    """Stands in for `JointMotion` on a robot without position-controlled joints.

    It only keeps the time line: which row of the plan in force is due.
    """

    fault = ""
    at_rest = True
    finished = True

    def __init__(self) -> None:
        self.state: MotionState = "HOLDING"
        self._plans: list[tuple[int, int, int, int]] = []

    def reset(self, q: FloatArray, now_ns: int) -> None:
        """Forget the plans."""
        self.stop(now_ns)

    def accept(
        self,
        start_ns: int,
        dt_ns: int,
        valid_from_ns: int,
        positions: FloatArray,
        interpolation: Interpolation,
        now_ns: int,
    ) -> None:
        """Execute a plan of T rows without columns from ``valid_from_ns`` on."""
        self._plans = [*self._plans[:1], (valid_from_ns, start_ns, dt_ns, len(positions))]

    def stop(self, now_ns: int) -> None:
        """Forget the plans."""
        self._plans = []
        self.state = "HOLDING"

    def go_to(self, q: FloatArray, now_ns: int, speed: float) -> float:
        """Nothing to move: done at once."""
        return 0.0

    def advance(self, now_ns: int) -> Setpoint:
        """The row due now."""
        if len(self._plans) == 2 and now_ns >= self._plans[1][0]:
            self._plans = self._plans[1:]
        row = float("nan")
        if self._plans:
            valid_from_ns, start_ns, dt_ns, rows = self._plans[0]
            if max(valid_from_ns, start_ns) <= now_ns < start_ns + rows * dt_ns:
                row = (now_ns - start_ns) / dt_ns
        self.state = "HOLDING" if np.isnan(row) else "TRACKING"
        none = np.zeros(0)
        return Setpoint(
            t_ns=now_ns,
            position=none,
            velocity=none,
            acceleration=none,
            row=row,
            stretch=1.0,
            limited=np.zeros(0, dtype=np.uint8),
            reference=none,
        )

    def brake_path(self, now_ns: int) -> FloatArray:
        """Nothing moves."""
        return np.zeros((1, 0))

    def window(self, now_ns: int, lookahead_ns: int, spacing_ns: int) -> TrajectoryWindow:
        """One point without joints; no output takes it."""
        none = np.zeros((1, 0))
        return TrajectoryWindow(
            t_ns=np.array([now_ns], dtype=np.int64), position=none, velocity=none, acceleration=none
        )
