"""The last line: is every sample inside the limits and continuous, and can the group still stop?

Axis letters: N joints, n samples.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vla_ros.motion.limits import FloatArray, MotionLimits

TOLERANCE = 1e-6


def stop_extent(samples: FloatArray, limits: MotionLimits) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest position that the quickest jerk-limited stop passes, from each sample.

    Args:
        samples: Position, velocity, acceleration. Shape (3, ..., N).
        limits: Of the N joints.

    Returns:
        Lowest and highest position. Each of shape (..., N).
    """
    position, velocity, acceleration = samples
    jerk = limits.jerk
    # Mirror so that the stop ends with a positive push-back: after ramping the acceleration to 0 at
    # full jerk, the speed that is left is positive.
    sign = np.copysign(1.0, velocity + acceleration * np.abs(acceleration) / (2.0 * jerk))
    v, a = sign * velocity, sign * acceleration
    half = 0.5 * a * a
    free = np.maximum(jerk * v + half, 0.0)
    peak = np.minimum(np.sqrt(free), np.maximum(limits.acceleration, np.abs(a)))
    t1, t3 = (a + peak) / jerk, peak / jerk
    t2 = np.maximum(free - peak * peak, 0.0) / (jerk * np.maximum(peak, 1e-12))
    # Phase 1, jerk down to -peak; phase 2, hold it; phase 3, back to 0 at rest.
    v1 = v + t1 * (a - 0.5 * jerk * t1)
    end = t1 * (v + t1 * (0.5 * a - jerk / 6.0 * t1)) + t2 * (v1 - 0.5 * peak * t2)
    end = sign * (end + t3 * (v1 - peak * (t2 + t3 / 3.0)))
    low, high = np.minimum(end, 0.0), np.maximum(end, 0.0)
    if (v < 0.0).any():
        # Where it first moves the other way, the turning point.
        root = np.sqrt(np.maximum(2.0 * (jerk * v + half), 0.0))
        t_turn = np.where(v < 0.0, np.maximum(a - root, 0.0) / jerk, 0.0)
        turn = sign * t_turn * (v + t_turn * (0.5 * a - jerk / 6.0 * t_turn))
        low, high = np.minimum(low, turn), np.maximum(high, turn)
    return position + low, position + high


def violation(samples: FloatArray, period_s: float, limits: MotionLimits) -> str:
    """What is wrong with samples on the control grid, in words; "" when nothing is.

    Args:
        samples: Position, velocity, acceleration. Shape (3, n, N).
        period_s: Time between samples, in [s].
        limits: Of the N joints.
    """
    if not np.isfinite(samples).all():
        return "a setpoint is not finite"
    # Steps of position, velocity and acceleration; of the first two, what their means leave over.
    steps = samples[:, 1:] - samples[:, :-1]
    steps[:2] -= (0.5 * period_s) * (samples[1:, 1:] + samples[1:, :-1])
    worst = np.concatenate(
        [
            -samples[:1].min(axis=1),
            samples[:1].max(axis=1),
            np.abs(samples[1:]).max(axis=1),
            np.abs(steps[::-1]).max(axis=1, initial=0.0),
        ]
    )
    wrong = worst > _bounds(limits, period_s)
    if not wrong.any():
        return ""
    what, joint = np.argwhere(wrong)[0]
    return f"{limits.names[joint]} would exceed its {_BOUNDED[what]} limit"


_BOUNDED = (
    "lower position",
    "upper position",
    "velocity",
    "acceleration",
    "jerk",
    "velocity continuity",
    "position continuity",
)


@lru_cache(maxsize=16)
def _bounds(limits: MotionLimits, period_s: float) -> FloatArray:
    """Of each of ``_BOUNDED``. Shape (7, N)."""
    slack = 1.0 + TOLERANCE
    jerk = limits.jerk * period_s * slack
    bounds = np.stack(
        [
            -limits.lower,
            limits.upper,
            limits.velocity * slack,
            limits.acceleration * slack,
            jerk,
            0.25 * jerk * period_s,
            jerk * period_s**2 / 6.0,
        ]
    )
    return bounds + TOLERANCE * period_s


def stoppable(samples: FloatArray, limits: MotionLimits) -> NDArray[np.bool_]:
    """From which samples the quickest stop stays inside the position and velocity limits.

    Args:
        samples: Position, velocity, acceleration. Shape (3, n, N).
        limits: Of the N joints.

    Returns:
        Shape (n,).
    """
    low, high = stop_extent(samples, limits)
    # What the speed becomes while the acceleration is taken away.
    speed = np.abs(samples[1] + samples[2] * np.abs(samples[2]) / (2.0 * limits.jerk))
    inside = (
        (low >= limits.lower - TOLERANCE)
        & (high <= limits.upper + TOLERANCE)
        & (speed <= limits.velocity * (1.0 + TOLERANCE))
    )
    return inside.all(axis=1)
