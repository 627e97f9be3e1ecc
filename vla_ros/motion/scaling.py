"""How much slower a plan must run to be feasible: one factor for all joints, so the path is kept.

Executed ``scale`` times slower, a path has velocities, accelerations and jerks divided by ``scale``,
``scale^2`` and ``scale^3``.

Axis letters: N joints, n samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vla_ros.motion.limits import FloatArray, MotionLimits
from vla_ros.motion.setpoint import LIMITED_ACCELERATION, LIMITED_JERK, LIMITED_VELOCITY


def time_scale(
    samples: FloatArray, period_s: float, limits: MotionLimits
) -> tuple[float, NDArray[np.uint8]]:
    """Smallest factor on the duration that brings every joint inside its limits, at least 1.

    Args:
        samples: Position, velocity, acceleration of the unscaled plan. Shape (3, n, N).
        period_s: Time between samples, in [s].
        limits: Of the N joints.

    Returns:
        The factor, and per joint the bits of the limits that ask for one above 1. Shape (N,).
    """
    if samples.shape[1] < 2:
        return 1.0, np.zeros(limits.size, dtype=np.uint8)
    velocity = np.abs(samples[1]).max(axis=0) / limits.velocity
    acceleration = np.sqrt(np.abs(samples[2]).max(axis=0) / limits.acceleration)
    jerk = np.abs(np.diff(samples[2], axis=0)).max(axis=0) / period_s / limits.jerk
    factors = np.stack([velocity, acceleration, np.cbrt(jerk)])
    bits = np.array([LIMITED_VELOCITY, LIMITED_ACCELERATION, LIMITED_JERK], dtype=np.uint8)
    limited = (bits[:, None] * (factors > 1.0)).sum(axis=0, dtype=np.uint8)
    return max(1.0, float(factors.max())), limited
