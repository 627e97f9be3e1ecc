"""A plan as it is offered: are its rows sensible, and when are they due?

Axis letters: T rows of the plan, N joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vla_ros.motion.limits import FloatArray, MotionLimits, MotionRefused

MAX_PLAN_NS = 30_000_000_000
MAX_AHEAD_NS = 10_000_000_000
MAX_POSITION = 1e4


def checked_rows(positions: FloatArray, dt_ns: int, limits: MotionLimits) -> FloatArray:
    """The rows as a fresh float64 array of shape (T, N).

    Raises:
        MotionRefused: Another shape, values that are no positions, or a senseless spacing.
    """
    rows = np.array(positions, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != limits.size or len(rows) == 0:
        raise MotionRefused(
            f"The plan has shape {rows.shape}, expected (rows, {limits.size}) for the joints "
            f"{', '.join(limits.names)}."
        )
    wrong = ~(np.abs(rows) <= MAX_POSITION)
    if wrong.any():
        row, joint = (int(i) for i in np.argwhere(wrong)[0])
        raise MotionRefused(
            f"Row {row} of the plan holds {rows[row, joint]} for {limits.names[joint]}, "
            f"expected a position in [rad] or [m]. Check the policy's statistics and units."
        )
    if dt_ns <= 0 or len(rows) * dt_ns > MAX_PLAN_NS:
        raise MotionRefused(
            f"{len(rows)} rows every {dt_ns} ns: expected a spacing above 0 and at most "
            f"{MAX_PLAN_NS * 1e-9:.0f} s in all."
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class Due:
    """When the rows of a plan are passed.

    Attributes:
        begin_ns: From when on the plan may be executed, in [ns].
        first_ns: When row 0 is passed, in [ns].
        dt_ns: Time between rows, in [ns].
        last_row: Fractional row at which the plan ends.
    """

    begin_ns: int
    first_ns: int
    dt_ns: int
    last_row: float

    @classmethod
    def of(
        cls,
        count: int,
        start_ns: int,
        dt_ns: int,
        valid_from_ns: int,
        interpolation: Literal["hold", "linear"],
        now_ns: int,
    ) -> Due:
        """Of ``count`` rows; what the others are is said at `JointMotion.accept`.

        Raises:
            MotionRefused: It begins too far from now.
        """
        half = 0.5 if interpolation == "hold" else 0.0
        begin_ns = max(valid_from_ns, start_ns)
        if begin_ns - now_ns > MAX_AHEAD_NS:
            raise MotionRefused(
                f"The plan begins {(begin_ns - now_ns) * 1e-9:.3f} s from now, expected at most "
                f"{MAX_AHEAD_NS * 1e-9:.0f} s. Check that its stamps are of the same clock."
            )
        return cls(
            begin_ns=begin_ns,
            first_ns=start_ns + int(half * dt_ns),
            dt_ns=dt_ns,
            last_row=count - 1 + (half if count > 1 or half else 1.0),
        )

    def row_at(self, t_ns: int) -> float:
        """The fractional row that is due at ``t_ns``.

        Raises:
            MotionRefused: All rows are in the past by then.
        """
        row = (t_ns - self.first_ns) / self.dt_ns
        if row >= self.last_row:
            raise MotionRefused(
                f"Every row of the plan is in the past: the last one was due "
                f"{(row - self.last_row) * self.dt_ns * 1e-9:.3f} s before the plan could begin. "
                f"Infer faster, or plan further ahead."
            )
        return row
