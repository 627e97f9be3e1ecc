"""Coming to rest on the last row of a plan: its time slows down to a stop.

A plan that ends in motion is left on its own path: rather than braking beyond the last row, the
plan's time slows down before it, so the group rests on the row and never leaves the path. Plans
that are replaced in time never get there.

Axis letters: N joints, n samples.
"""

from __future__ import annotations

import numpy as np

from vla_ros.motion.guard import stop_extent
from vla_ros.motion.limits import FloatArray, MotionLimits

AT_REST = 1e-4
LAST_S = 0.3
ROOM = 1.1
# Largest first and second derivative of the smooth step.
_STEEPEST, _MOST_BENT = 1.875, 5.78


def landing_time(samples: FloatArray, period_s: float, limits: MotionLimits) -> float:
    """How long the slowing down should take, in [s]; 0 where the plan ends at rest.

    The time in which the last speeds can be taken away within the limits, where the path asks for
    nothing besides.

    Args:
        samples: Position, velocity, acceleration of the plan. Shape (3, n, N).
        period_s: Time between samples, in [s].
        limits: Of the N joints.
    """
    last = samples[:, -1]
    low, high = stop_extent(last, limits)
    if max((high - last[0]).max(), (last[0] - low).max()) < AT_REST:
        return 0.0
    speed = np.abs(samples[1, -max(1, round(LAST_S / period_s)) :]).max(axis=0)
    time_s = np.maximum(
        _STEEPEST * speed / limits.acceleration, np.sqrt(_MOST_BENT * speed / limits.jerk)
    )
    return ROOM * float(time_s.max())


def land(duration_s: float, landing_s: float, period_s: float) -> tuple[int, FloatArray]:
    """Where the slowing down begins, and planned time from there on until it stands still.

    Args:
        duration_s: The plan's duration, in [s]; where planned time stops.
        landing_s: Duration of the slowing down, in [s]; up to a period more is taken so that the
            plan is left at a sample.
        period_s: In [s].

    Returns:
        Index of the sample at which it begins, and planned time in [s], its rate and the change of
        its rate at that sample and each period after. Shape (3, n).
    """
    begin = max(0, int((duration_s - 0.5 * landing_s) / period_s + 1e-9))
    landing_s = 2.0 * (duration_s - begin * period_s)
    count = int(np.ceil(landing_s / period_s - 1e-9))
    u = np.minimum(np.arange(count + 1) * period_s / landing_s, 1.0)
    # 1 minus the smooth step 10 u^3 - 15 u^4 + 6 u^5, its integral and its derivative.
    planned = begin * period_s + landing_s * (u - u**4 * (2.5 - 3.0 * u + u**2))
    rate = 1.0 - u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
    return begin, np.stack([planned, rate, -30.0 * (u * (1.0 - u)) ** 2 / landing_s])
