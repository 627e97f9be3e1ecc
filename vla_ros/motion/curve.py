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
    """Quintic spline through the rows: its first four derivatives are continuous.

    Against the usual cubic it is closer to the motion that the rows are samples of (its error falls
    with the sixth power of their spacing), its jerk does not jump at rows, and noise on the rows
    makes less acceleration. Second and fourth derivative at the ends are those of the quartic
    through the first and the last five rows. It may be read half a row beyond its ends.

    Attributes:
        rows: Number of rows T.
        dt_s: Time between rows, in [s].
        coefficients: Of ``1, u, .. u^5`` with ``u`` in rows, per interval. Shape (max(T-1, 1), 6,
            N).
    """

    rows: int
    dt_s: float
    coefficients: FloatArray

    @classmethod
    def through(cls, rows: FloatArray, dt_s: float) -> Curve:
        """The curve that passes each row (T, N) at its time."""
        count = len(rows)
        coefficients = np.zeros((max(count - 1, 1), 6, rows.shape[1]))
        if count == 1:
            coefficients[0, 0] = rows[0]
        else:
            np.matmul(_from_rows(count), rows, out=coefficients)
        return cls(rows=count, dt_s=dt_s, coefficients=coefficients)

    def sample(
        self, row: FloatArray, rate: float | FloatArray = 1.0, change: float | FloatArray = 0.0
    ) -> FloatArray:
        """Position, velocity and acceleration at the fractional rows ``row`` (n,).

        Args:
            row: Where on the plan. Shape (n,).
            rate: Speed of execution; 1 is as planned, 0.5 half as fast. One, or (n,).
            change: Change of the rate, in [1/s]. One, or (n,).

        Returns:
            Shape (3, n, N).
        """
        index = np.clip(row.astype(np.int64), 0, len(self.coefficients) - 1)
        powers = np.ones((6, len(row)))
        powers[1:] = row - index
        np.cumprod(powers, axis=0, out=powers)
        weights = np.zeros((3, 6, len(row)))
        weights[0] = powers
        weights[1, 1:] = _FIRST * powers[:5]
        weights[2, 2:] = _SECOND * powers[:4] * np.square(rate / self.dt_s)
        weights[2] += weights[1] * (change / self.dt_s)
        weights[1] *= rate / self.dt_s
        out = np.empty((3, len(row), self.coefficients.shape[2]))
        np.matmul(weights.transpose(2, 0, 1), self.coefficients[index], out=out.swapaxes(0, 1))
        return out


# Factors of the first and second derivatives of the powers 1 .. 5 and 2 .. 5.
_FIRST = np.array([1.0, 2.0, 3.0, 4.0, 5.0])[:, None]
_SECOND = np.array([2.0, 6.0, 12.0, 20.0])[:, None]

# Second derivative at the first of 3, 4, 5 rows, exact for parabolas, cubics, quartics; and fourth.
_ONE_SIDED = {
    3: (1.0, -2.0, 1.0),
    4: (2.0, -5.0, 4.0, -1.0),
    5: (35 / 12, -26 / 3, 19 / 2, -14 / 3, 11 / 12),
}
_FOURTH = (1.0, -4.0, 6.0, -4.0, 1.0)


@lru_cache(maxsize=16)
def _from_rows(count: int) -> FloatArray:
    """The matrix from at least 2 rows to the coefficients. Shape (T-1, 6, T).

    Unknown are second and fourth derivatives at the rows, ``M`` and ``F``, per row^2 and row^4. In
    each interval the fourth derivative is linear; slope and third derivative must be continuous.
    """
    rows = np.eye(count)
    second, fourth = slice(0, count), slice(count, 2 * count)
    left, right = np.eye(2 * count), np.zeros((2 * count, count))
    if count > 2:
        for i in range(1, count - 1):
            near = slice(i - 1, i + 2)
            left[i, second][near] = (1 / 6, 4 / 6, 1 / 6)
            left[i, fourth][near] = (-7 / 360, -16 / 360, -7 / 360)
            right[i, near] = (1.0, -2.0, 1.0)
            left[count + i, second][near] = (1.0, -2.0, 1.0)
            left[count + i, fourth][near] = (-1 / 6, -4 / 6, -1 / 6)
        ends = _ONE_SIDED[min(count, 5)]
        right[0, : len(ends)] = right[count - 1, -len(ends) :][::-1] = ends
        if count > 4:
            right[count, :5] = right[2 * count - 1, -5:] = _FOURTH
    both = np.linalg.solve(left, right)
    m, f = both[second], both[fourth]
    c = np.empty((count - 1, 6, count))
    c[:, 0] = rows[:-1]
    c[:, 1] = (
        rows[1:] - rows[:-1] - (2.0 * m[:-1] + m[1:]) / 6.0 + (8.0 * f[:-1] + 7.0 * f[1:]) / 360.0
    )
    c[:, 2] = m[:-1] / 2.0
    c[:, 3] = (m[1:] - m[:-1] - (2.0 * f[:-1] + f[1:]) / 6.0) / 6.0
    c[:, 4] = f[:-1] / 24.0
    c[:, 5] = (f[1:] - f[:-1]) / 120.0
    return c


def bend_inside(samples: FloatArray, limits: MotionLimits) -> FloatArray:
    """Samples (3, n, N) with positions bent to stay between the limits.

    The identity except in a margin next to each limit, where ``tanh`` takes over: twice
    continuously differentiable, never passing the limit however far the plan goes beyond it. The
    margin is ``MARGIN_OF_RANGE`` of the joint's range, at most ``MAX_MARGIN``.
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
