"""The smooth curve through the rows of a plan, bent to stay between the position limits.

Axis letters: T rows of the plan, N joints, n samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vla_ros.motion.limits import FloatArray, MotionLimits

MARGIN_OF_RANGE = 0.05
MAX_MARGIN = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Cubic spline through the rows: position, velocity and acceleration are continuous.

    The first two and the last two intervals share one cubic ("not a knot"), so that a plan says
    nothing more at its ends than its rows do; the curve may be read half a row beyond them.

    Attributes:
        rows: Number of rows T.
        dt_s: Time between rows, in [s].
        coefficients: Of ``1, u, u^2, u^3`` with ``u`` in rows, per interval. Shape (max(T-1,
        1), 4, N).
    """

    rows: int
    dt_s: float
    coefficients: FloatArray

    @classmethod
    def through(cls, rows: FloatArray, dt_s: float) -> Curve:
        """The curve that passes each row (T, N) at its time."""
        count = len(rows)
        if count == 1:
            coefficients = np.concatenate([rows[None], np.zeros((1, 3, rows.shape[1]))], axis=1)
            return cls(rows=1, dt_s=dt_s, coefficients=coefficients)
        bend = _second_derivative(count) @ rows
        left, right = bend[:-1], bend[1:]
        coefficients = np.empty((count - 1, 4, rows.shape[1]))
        coefficients[:, 0] = rows[:-1]
        coefficients[:, 1] = rows[1:] - rows[:-1] - (2.0 * left + right) / 6.0
        coefficients[:, 2] = left / 2.0
        coefficients[:, 3] = (right - left) / 6.0
        return cls(rows=count, dt_s=dt_s, coefficients=coefficients)

    def sample(
        self, row: FloatArray, rate: float | FloatArray = 1.0, change: float | FloatArray = 0.0
    ) -> FloatArray:
        """Position, velocity and acceleration at the fractional rows ``row`` (n,).

        Args:
            row: Where on the plan. Shape (n,).
            rate: Speed of execution; 1 is as planned, 0.5 half as fast. One, or (n, 1).
            change: Change of the rate, in [1/s]. One, or (n, 1).

        Returns:
            Shape (3, n, N).
        """
        index = np.clip(row.astype(np.int64), 0, len(self.coefficients) - 1)
        u = (row - index)[:, None]
        c0, c1, c2, c3 = self.coefficients[index].swapaxes(0, 1)
        out = np.empty((3, len(row), self.coefficients.shape[2]))
        c3u = c3 * u
        slope = ((3.0 * c3u + 2.0 * c2) * u + c1) / self.dt_s
        out[0] = ((c3u + c2) * u + c1) * u + c0
        out[1] = slope * rate
        out[2] = (6.0 * c3u + 2.0 * c2) * np.square(rate / self.dt_s) + slope * change
        return out


@lru_cache(maxsize=16)
def _second_derivative(count: int) -> FloatArray:
    """The matrix from rows to second derivatives of the spline at the rows, per row^2. Shape
    (T, T).
    """
    if count == 2:
        return np.zeros((2, 2))
    left = np.eye(count)
    right = np.zeros((count, count))
    for i in range(1, count - 1):
        left[i, i - 1 : i + 2] = (1.0 / 6.0, 4.0 / 6.0, 1.0 / 6.0)
        right[i, i - 1 : i + 2] = (1.0, -2.0, 1.0)
    left[0, 1] = left[-1, -2] = -1.0 if count == 3 else -2.0
    if count > 3:
        left[0, 2] = left[-1, -3] = 1.0
    return np.asarray(np.linalg.solve(left, right), np.float64)


def bend_inside(samples: FloatArray, limits: MotionLimits) -> FloatArray:
    """Samples (3, n, N) with positions bent to stay between the limits.

    The identity except in a margin next to each limit, where ``tanh`` takes over: twice
    continuously
    differentiable, never reaching the limit however far the plan goes beyond it. The margin is
    ``MARGIN_OF_RANGE`` of the joint's range, at most ``MAX_MARGIN``.
    """
    margin = np.minimum(MAX_MARGIN, MARGIN_OF_RANGE * (limits.upper - limits.lower))
    high, low = limits.upper - margin, limits.lower + margin
    position = samples[0]
    above, below = position > high, position < low
    bent = above | below
    if not bent.any():
        return samples
    knee = np.where(above, high, low)
    depth = np.where(bent, (position - knee) / margin, 0.0)
    curve = np.tanh(depth)
    slope = 1.0 - curve**2
    out = samples.copy()
    out[0] = np.where(bent, knee + margin * curve, position)
    out[1] *= slope
    out[2] = slope * samples[2] - 2.0 * curve * slope / margin * samples[1] ** 2
    return out
