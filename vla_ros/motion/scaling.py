"""Where a plan must run slower to be feasible: one pace for all joints, so the path is kept.

Executed ``n`` times slower, a path has velocities, accelerations and jerks divided by ``n``,
``n^2``
and ``n^3``. Each sample of the plan thus asks for a pace; the pace that is run is the smallest one
asked for nearby, smoothed, so that slowing down is itself smooth. Where nothing asks, the plan runs
as planned.

Axis letters: N joints, n samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_ros.motion.limits import FloatArray, MotionLimits
from vla_ros.motion.setpoint import LIMITED_ACCELERATION, LIMITED_JERK, LIMITED_VELOCITY
from vla_ros.motion.timeline import hermite


def demand(
    samples: FloatArray, period_s: float, limits: MotionLimits
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """How many times slower each sample of a plan must run, for every joint to be inside its
    limits.

    Args:
        samples: Position, velocity, acceleration of the plan as planned. Shape (3, n, N).
        period_s: Time between samples, in [s].
        limits: Of the N joints.

    Returns:
        The factors, at least 1, of shape (n,), and per joint the bits of the limits that ask for
        one above 1, of shape (N,).
    """
    step = np.abs(samples[2, 1:] - samples[2, :-1]) / (period_s * limits.jerk)
    moving = np.abs(samples[1:])
    moving[0] /= limits.velocity
    moving[1] /= limits.acceleration
    worst = np.concatenate([moving.max(axis=1), step.max(axis=0, keepdims=True, initial=0.0)])
    limited = ((worst > 1.0) * _BITS[:, None]).sum(axis=0, dtype=np.uint8)
    if not limited.any():
        return np.ones(samples.shape[1]), limited
    velocity, acceleration = moving.max(axis=2)
    jerk = np.zeros(samples.shape[1])
    jerk[:-1] = step.max(axis=1)
    jerk[1:] = np.maximum(jerk[1:], jerk[:-1])
    factors = np.maximum(np.maximum(velocity, np.sqrt(acceleration)), np.cbrt(jerk))
    return np.maximum(factors, 1.0), limited


_BITS = np.array([LIMITED_VELOCITY, LIMITED_ACCELERATION, LIMITED_JERK], dtype=np.uint8)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pace:
    """Planned time as a smooth function of the time that passes.

    Attributes:
        passed_s: Time that passes until each node. Shape (n,).
        nodes: Planned time, its rate and the change of its rate, at the nodes. Shape (3, n, 1).
    """

    passed_s: FloatArray
    nodes: FloatArray

    @classmethod
    def of(cls, factors: FloatArray, period_s: float, reach_s: float, planned_s: float) -> Pace:
        """The pace for samples that must run ``factors`` (n,) times slower, planned every period.

        Slowing down starts up to twice ``reach_s`` before it must be done. The plan goes on to
        ``planned_s``, up to a period after the last sample.
        """
        reach = max(1, round(reach_s / period_s))
        padded = np.pad(1.0 / factors, 2 * reach, mode="edge")
        slowest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).min(axis=1)
        u = np.arange(-reach, reach + 1) / (reach + 1)
        kernel = (1.0 - u**2) ** 3
        rate = np.convolve(slowest, kernel / kernel.sum(), mode="valid")
        slope = np.gradient(rate, period_s) if len(rate) > 1 else np.zeros(1)
        planned = np.arange(len(rate)) * period_s
        rest_s = planned_s - planned[-1]
        if rest_s > 1e-6:
            planned = np.append(planned, planned_s)
            rate = np.append(rate, rate[-1] + slope[-1] * rest_s)
            slope = np.append(slope, slope[-1])
        slowness = 1.0 / rate
        passed = np.zeros(len(rate))
        np.cumsum(0.5 * (slowness[1:] + slowness[:-1]) * np.diff(planned), out=passed[1:])
        return cls(passed_s=passed, nodes=np.stack([planned, rate, rate * slope])[..., None])

    @property
    def duration_s(self) -> float:
        """Time that passes from the first to the last node."""
        return float(self.passed_s[-1])

    def at(self, t: FloatArray) -> FloatArray:
        """Planned time, its rate and the change of its rate at times (n,) in [s]. Shape (3, n)."""
        if len(self.passed_s) == 1:
            return np.repeat(self.nodes[..., 0], len(t), axis=1)
        left = np.clip(
            np.searchsorted(self.passed_s, t, side="right") - 1, 0, len(self.passed_s) - 2
        )
        step = self.passed_s[left + 1] - self.passed_s[left]
        u = (t - self.passed_s[left]) / step
        return hermite(self.nodes[:, left], self.nodes[:, left + 1], u, step[:, None])[..., 0]
