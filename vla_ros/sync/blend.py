"""Between two samples of a vector: each element the way its meaning asks for.

Positions go straight, or on the curve that their rates of change tell; angles of continuous joints
the short way round; orientations along the great arc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.spaces.rotations import slerp

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Blend:
    """How the elements of a vector (S,) are interpolated; those not named here linearly.

    Attributes:
        angles: indices of angles [rad] that may jump by a whole turn; they are kept in
            (-pi, pi], and less than half a turn is assumed from one sample to the next.
        quaternions: index of the first element of each unit quaternion (x, y, z, w).
    """

    angles: tuple[int, ...] = ()
    quaternions: tuple[int, ...] = ()

    def canonical(self, value: FloatArray) -> FloatArray:
        """``value`` (S,) with its angles in (-pi, pi]."""
        if not self.angles:
            return value
        wrapped = value.copy()
        columns = list(self.angles)
        wrapped[columns] = -np.remainder(np.pi - value[columns], 2 * np.pi) + np.pi
        return wrapped

    def change(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """From ``left`` to ``right`` (S,): the short way round, whatever a quaternion's sign."""
        change = right - left
        if self.angles:
            columns = list(self.angles)
            change[columns] = np.remainder(change[columns] + np.pi, 2 * np.pi) - np.pi
        for first in self.quaternions:
            part = slice(first, first + 4)
            if left[part] @ right[part] < 0:
                change[part] = -right[part] - left[part]
        return change

    def between(
        self,
        left: FloatArray,
        right: FloatArray,
        fraction: float,
        gains: tuple[FloatArray, FloatArray] | None = None,
    ) -> FloatArray:
        """The vector ``fraction`` of the way from ``left`` to ``right``.

        Args:
            left: the sample before. Shape (S,).
            right: the sample after. Shape (S,).
            fraction: of the time between them.
            gains: where known, what each would gain from one to the other at the rate that it has
                at ``left``, and at ``right``; NaN where not known. Shapes (S,).
        """
        change = self.change(left, right)
        way = fraction * change
        if gains is not None:
            way = way + bend(change, *gains, fraction)
        value = self.canonical(left + way)
        for first in self.quaternions:
            part = slice(first, first + 4)
            value[part] = slerp(left[part], right[part], fraction)
        return value


def bend(change: FloatArray, first: FloatArray, last: FloatArray, fraction: float) -> FloatArray:
    """How far a curve between two samples is from the straight line.

    The curve is the cubic with the stated rates at both ends (Hermite), taken where it bends one
    way only. Where it would have to bend both ways, the stated rates do not fit the samples (filled
    with zeros, another unit, a slow filter) or the curve is nearly straight: then 0.

    Args:
        change: from one sample to the next. Shape (S,).
        first: what would be gained at the rate at the first; NaN: not known. Shape (S,).
        last: likewise at the last. Shape (S,).
        fraction: of the time between them.
    """
    first, last = first - change, last - change
    one_way = 3 * np.abs(first + last) <= np.abs(last - first)  # False for NaN
    rest = 1 - fraction
    return np.where(one_way, fraction * rest * (rest * first - fraction * last), 0.0)
