"""The seam between what is commanded and a new plan: an offset that fades away.

At the switch the new plan is moved onto the commanded state by adding the difference of position,
velocity and acceleration; the quintic that takes this difference to nothing keeps the sum twice
continuously differentiable. After the fade the plan passes unchanged.

Axis letters: N joints, n samples.
"""

from __future__ import annotations

import numpy as np

from vla_ros.motion.limits import FloatArray


def fade(offset: FloatArray, t_s: FloatArray, duration_s: float) -> FloatArray:
    """The fading offset.

    Args:
        offset: Commanded minus planned position, velocity and acceleration at the switch. Shape (3, N).
        t_s: Times since the switch, ascending, in [s]. Shape (n,).
        duration_s: Time after which nothing is left of the offset, in [s].

    Returns:
        Position, velocity and acceleration to add at each of the first ``m`` times, those before
        ``duration_s``. Shape (3, m, N).
    """
    u = t_s[: np.searchsorted(t_s, duration_s)] / duration_s
    # Rows: shape functions of position, velocity, acceleration; columns: powers of u.
    powers = u[:, None] ** np.arange(6)
    scale = np.array([1.0, duration_s, duration_s**2])
    by_derivative = []
    for order in range(3):
        shapes = powers[:, : 6 - order] @ _DERIVATIVES[order] * (scale / duration_s**order)
        by_derivative.append(shapes @ offset)
    return np.stack(by_derivative)


# Quintics on [0, 1] that end with value, slope and curvature 0 and start with one of them 1.
_SHAPES = np.array(
    [
        [1.0, 0.0, 0.0, -10.0, 15.0, -6.0],
        [0.0, 1.0, 0.0, -6.0, 8.0, -3.0],
        [0.0, 0.0, 0.5, -1.5, 1.5, -0.5],
    ]
).T
_DERIVATIVES = (
    _SHAPES,
    _SHAPES[1:] * np.arange(1, 6)[:, None],
    (_SHAPES[1:] * np.arange(1, 6)[:, None])[1:] * np.arange(1, 5)[:, None],
)
