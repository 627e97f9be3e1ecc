"""Minimum-jerk smoothing of a plan whose rows carry noise.

The rows that minimise ``sum (x - y)^2 + weight * sum (third difference of x)^2`` (Whittaker 1923;
Eilers 2003, "A perfect smoother"). The penalty is the jerk of the plan, so parabolas pass
unchanged.

The weight follows from the declared noise: a Wiener filter between white noise of ``noise`` and a
motion whose jerk is ``TYPICAL_JERK`` of the joint's limit. Its cut-off, ``(jerk / noise)^(1/3)``
[rad/s], does not depend on the spacing of the rows.

Axis letters: T rows of the plan, N joints.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vla_ros.motion.limits import FloatArray

TYPICAL_JERK = 0.2
MAX_DEVIATION = 4.0
_WEAKER = (1.0, 2.0**-4, 2.0**-8, 2.0**-12)


def smooth(rows: FloatArray, dt_s: float, noise: float, jerk: FloatArray) -> FloatArray:
    """The plan without its noise; no row moves by more than ``MAX_DEVIATION`` times ``noise``.

    Where the full weight would move a row further than that, the plan holds a motion that is
    quicker
    than expected: the weight of that joint is lowered until it does not.

    Args:
        rows: The plan, in [rad] or [m]. Shape (T, N).
        dt_s: Time between rows, in [s].
        noise: Standard deviation of the noise of each row, in [rad] or [m]; 0 returns ``rows``.
        jerk: Jerk limits, in [rad/s^3] or [m/s^3]. Shape (N,).

    Returns:
        The smoothed rows. Shape (T, N).
    """
    if noise <= 0.0 or len(rows) < 4:
        return rows
    basis, penalty = _third_difference_basis(len(rows))
    weight = (noise / (TYPICAL_JERK * jerk * dt_s**3)) ** 2
    spectrum = basis.T @ rows
    out = rows.copy()
    left = np.ones(rows.shape[1], dtype=bool)
    for weaker in _WEAKER:
        candidate = basis @ (spectrum / (1.0 + weaker * weight * penalty[:, None]))
        good = left & (np.abs(candidate - rows).max(axis=0) <= MAX_DEVIATION * noise)
        out[:, good] = candidate[:, good]
        left &= ~good
        if not left.any():
            break
    return out


@lru_cache(maxsize=16)
def _third_difference_basis(rows: int) -> tuple[FloatArray, FloatArray]:
    """Eigenvectors (T, T) and eigenvalues (T,) of the penalty: any weight is then a product."""
    difference = np.diff(np.eye(rows), n=3, axis=0)
    values, vectors = np.linalg.eigh(difference.T @ difference)
    values[:3] = 0.0
    return vectors, values
