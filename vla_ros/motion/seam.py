"""The seam between what is commanded and a new plan: an offset that fades away.

At the switch the new plan is moved onto the commanded state by adding the difference of position,
velocity, acceleration and jerk; the polynomial of degree 7 that takes this difference to nothing
keeps even the jerk of the sum continuous (a quintic would start each seam with a step of jerk, and
peak higher). After the fade the plan passes unchanged.

Axis letters: N joints, n samples.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from vla_ros.motion.limits import FloatArray


def fade(offset: FloatArray, period_s: float, duration_s: float) -> FloatArray:
    """The fading offset, every period from the switch on until nothing is left of it.

    Args:
        offset: Commanded minus planned position, velocity, acceleration and jerk at the switch.
            Shape (4, N).
        period_s: In [s].
        duration_s: Time after which nothing is left of the offset, in [s].

    Returns:
        Position, velocity and acceleration to add to the samples before ``duration_s``. Shape (3,
        m, N).
    """
    return _fading(period_s, duration_s) @ offset


@lru_cache(maxsize=16)
def _fading(period_s: float, duration_s: float) -> FloatArray:
    """What is left of a position, velocity, acceleration and jerk of 1. Shape (3, m, 4)."""
    u = np.arange(math.ceil(duration_s / period_s)) * (period_s / duration_s)
    powers = u[:, None] ** np.arange(8)
    scale = duration_s ** np.arange(4)
    return np.stack(
        [
            powers[:, : 8 - order] @ shapes * (scale / duration_s**order)
            for order, shapes in enumerate(_SHAPES)
        ]
    )


def _derivative(coefficients: FloatArray) -> FloatArray:
    return coefficients[1:] * np.arange(1, len(coefficients))[:, None]


# Columns: polynomials on [0, 1] that start with value, slope, curvature or jerk 1, all else 0, and
# end with all of them 0. Rows: powers. Then their first and second derivatives.
_START = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, -35.0, 84.0, -70.0, 20.0],
        [0.0, 1.0, 0.0, 0.0, -20.0, 45.0, -36.0, 10.0],
        [0.0, 0.0, 1 / 2, 0.0, -5.0, 10.0, -15 / 2, 2.0],
        [0.0, 0.0, 0.0, 1 / 6, -2 / 3, 1.0, -2 / 3, 1 / 6],
    ]
).T
_SHAPES = (_START, _derivative(_START), _derivative(_derivative(_START)))
