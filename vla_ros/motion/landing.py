"""Coming to rest on the last row of a plan: its time slows down to a stop.

A plan that ends in motion is left on its own path: rather than braking beyond the last row, the
plan's time slows down before it, so the group rests on the row and never leaves the path. Plans
that are replaced in time never get there.

Axis letters: N joints, n samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from vla_ros.motion.guard import stop_extent
from vla_ros.motion.limits import FloatArray, MotionLimits

AT_REST = 1e-4
LAST_S = 0.3
ROOM = 1.1


@dataclass(frozen=True, kw_only=True)
class Slowing:
    """How planned time comes to a stop: jerk, deceleration, jerk, the quickest way there is.

    Attributes:
        duration_s: In [s]; half as much of planned time passes during it.
        rounding: The part of it, at each end, in which the deceleration builds up. At most 0.5.
    """

    duration_s: float
    rounding: float

    def longer(self, factor: float) -> Slowing:
        """The same, ``factor`` times as long."""
        return replace(self, duration_s=self.duration_s * factor)

    def time(self, t_s: FloatArray) -> FloatArray:
        """Planned time since it began in [s], its rate and the change of its rate. Shape (3, n)."""
        f = self.rounding
        u = np.minimum(t_s / self.duration_s, 1.0)
        near = np.minimum(u, 1.0 - u)  # the second half mirrors the first
        ramp, steady = np.minimum(near, f), np.maximum(near - f, 0.0)
        peak = 1.0 / (1.0 - f)
        lost = peak * (ramp**2 / (2.0 * f) + steady)
        behind = peak * (ramp**3 / (6.0 * f) + steady * (f + steady) / 2.0)
        second = u > 0.5
        planned = np.where(second, 0.5 - behind, near - behind)
        rate = np.where(second, lost, 1.0 - lost)
        change = -peak * ramp / (f * self.duration_s)
        return np.stack([planned * self.duration_s, rate, change])


def slowing_for(samples: FloatArray, period_s: float, limits: MotionLimits) -> Slowing | None:
    """The quickest way to slow down at the end of a plan; None where it ends at rest.

    The last speeds are taken away within the limits, with some room for what the path asks for
    besides.

    Args:
        samples: Position, velocity, acceleration of the plan. Shape (3, n, N).
        period_s: Time between samples, in [s].
        limits: Of the N joints.
    """
    last = samples[:, -1]
    low, high = stop_extent(last, limits)
    if max((high - last[0]).max(), (last[0] - low).max()) < AT_REST:
        return None
    speed = np.abs(samples[1, -max(1, round(LAST_S / period_s)) :]).max(axis=0)
    if not speed.any():
        return None
    # Unit speed is lost at 1 / (duration - ramp), and that builds up within the ramp.
    steady_s = float((speed / limits.acceleration).max())
    square_s2 = float((speed / limits.jerk).max())
    ramp_s = max(min(square_s2 / steady_s, math.sqrt(square_s2)), period_s)
    duration_s = max(steady_s + ramp_s, 2.0 * ramp_s)
    return Slowing(duration_s=ROOM * duration_s, rounding=ramp_s / duration_s)


def land(duration_s: float, slowing: Slowing, period_s: float) -> tuple[int, FloatArray]:
    """Where the slowing down begins, and planned time from there on until it stands still.

    Args:
        duration_s: The plan's duration, in [s]; where planned time stops.
        slowing: How; up to two periods more are taken so that the plan is left at a sample.
        period_s: In [s].

    Returns:
        Index of the sample at which it begins, and planned time in [s], its rate and the change of
        its rate at that sample and each period after. Shape (3, n).
    """
    begin = max(0, int((duration_s - 0.5 * slowing.duration_s) / period_s + 1e-9))
    fitted = replace(slowing, duration_s=2.0 * (duration_s - begin * period_s))
    count = int(np.ceil(fitted.duration_s / period_s - 1e-9))
    time = fitted.time(np.arange(count + 1, dtype=np.float64) * period_s)
    time[0] += begin * period_s
    return begin, time
