"""The last line: is every sample inside the limits and continuous, and can the group still stop?

Axis letters: N joints, n samples.
"""

from __future__ import annotations

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
    left = velocity + acceleration * np.abs(acceleration) / (2.0 * jerk)
    sign = np.where(left < 0.0, -1.0, 1.0)
    v, a = sign * velocity, sign * acceleration
    peak = np.sqrt(np.maximum(jerk * v + 0.5 * a * a, 0.0))
    peak = np.minimum(peak, np.maximum(limits.acceleration, np.abs(a)))
    t1, t3 = (a + peak) / jerk, peak / jerk
    t2 = np.maximum(v + (0.5 * a * a - peak * peak) / jerk, 0.0) / np.maximum(peak, 1e-12)
    # Phase 1, jerk down to -peak; phase 2, hold it; phase 3, back to 0 at rest.
    v1 = v + t1 * (a - 0.5 * jerk * t1)
    v2 = v1 - peak * t2
    end = t1 * (v + t1 * (0.5 * a - jerk * t1 / 6.0)) + t2 * (v1 - 0.5 * peak * t2)
    end = end + t3 * (v2 - peak * t3 / 3.0)
    # Where it first moves the other way, the turning point.
    root = np.sqrt(np.maximum(a * a + 2.0 * jerk * v, 0.0))
    t_turn = np.where(v < 0.0, np.maximum(a - root, 0.0) / jerk, 0.0)
    turn = t_turn * (v + t_turn * (0.5 * a - jerk * t_turn / 6.0))
    reach = np.stack([np.zeros_like(end), sign * end, sign * turn])
    return position + reach.min(axis=0), position + reach.max(axis=0)


def violation(samples: FloatArray, period_s: float, limits: MotionLimits) -> str:
    """What is wrong with samples on the control grid, in words; "" when nothing is.

    Args:
        samples: Position, velocity, acceleration. Shape (3, n, N).
        period_s: Time between samples, in [s].
        limits: Of the N joints.
    """
    position, velocity, acceleration = samples
    if not np.isfinite(samples).all():
        return "a setpoint is not finite"
    slack = 1.0 + TOLERANCE
    step_p, step_v, step_a = np.diff(samples, axis=1)
    mean = 0.5 * (samples[1:, :-1] + samples[1:, 1:])
    jerk = limits.jerk * period_s * slack
    for excess, limit, what in (
        (-position, -limits.lower, "lower position"),
        (position, limits.upper, "upper position"),
        (np.abs(velocity), limits.velocity * slack, "velocity"),
        (np.abs(acceleration), limits.acceleration * slack, "acceleration"),
        (np.abs(step_a), jerk, "jerk"),
        (np.abs(step_v - period_s * mean[1]), 0.25 * jerk * period_s, "velocity continuity"),
        (np.abs(step_p - period_s * mean[0]), jerk * period_s**2 / 6.0, "position continuity"),
    ):
        if len(excess):
            worst = excess.max(axis=0) - limit - TOLERANCE * period_s
            if (worst > 0.0).any():
                joint = int(np.argmax(worst))
                return f"{limits.names[joint]} would exceed its {what} limit"
    return ""


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
