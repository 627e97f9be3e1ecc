"""Between two samples of a vector: each element the way its meaning asks for.

Positions go straight, angles of continuous joints the short way round, orientations along the
great arc.
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

    def between(self, left: FloatArray, right: FloatArray, fraction: float) -> FloatArray:
        """The vector ``fraction`` of the way from ``left`` to ``right``. Shapes (S,)."""
        change = right - left
        if self.angles:
            columns = list(self.angles)
            change[columns] = np.remainder(change[columns] + np.pi, 2 * np.pi) - np.pi
        value = self.canonical(left + fraction * change)
        for first in self.quaternions:
            part = slice(first, first + 4)
            value[part] = slerp(left[part], right[part], fraction)
        return value
