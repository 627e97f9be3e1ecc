"""JointMotion: from plans to setpoints of a group of position-controlled joints."""

from __future__ import annotations

from typing import Literal

from vla_ros.motion.limits import FloatArray, MotionLimits
from vla_ros.motion.setpoint import MotionState, Setpoint, TrajectoryWindow


class JointMotion:
    """Smooth, limited motion of a group of joints; time is an argument.

    Attributes:
        limits: The limits every setpoint obeys.
        state: HOLDING (at rest), RAMPING (go_to or rejoining a far plan), TRACKING, BRAKING.
        reason: Why the group brakes or holds ("stop", "plan ended", a fault text); "" while moving on request.
        fault: Latched text of a plan that could not be executed; accept() and go_to() are refused
            until reset().
    """

    def __init__(
        self,
        limits: MotionLimits,
        period_ns: int,
        *,
        smoothing_noise_rad: float = 0.0,
        fade_ns: int = 150_000_000,
        max_time_scale: float = 4.0,
    ) -> None: ...

    state: MotionState
    reason: str
    fault: str
    at_rest: bool
    finished: bool

    def reset(self, q: FloatArray, now_ns: int) -> None:
        """Hold ``q`` from ``now_ns`` on."""
        raise NotImplementedError

    def accept(
        self,
        start_ns: int,
        dt_ns: int,
        valid_from_ns: int,
        positions: FloatArray,
        interpolation: Literal["hold", "linear"],
        now_ns: int,
    ) -> None:
        """Execute a plan (T, N) from ``max(valid_from_ns, next tick)`` on."""
        raise NotImplementedError

    def stop(self, now_ns: int) -> None:
        """Brake from the commanded state at the next tick."""
        raise NotImplementedError

    def go_to(self, q: FloatArray, now_ns: int, speed: float) -> float:
        """Move to ``q`` and rest there; returns the duration in [s]."""
        raise NotImplementedError

    def advance(self, now_ns: int) -> Setpoint:
        """The setpoint due at ``now_ns``; called once each control period."""
        raise NotImplementedError

    def window(self, now_ns: int, lookahead_ns: int, spacing_ns: int) -> TrajectoryWindow:
        """The commanded curve around ``now_ns``, ending in a brake to rest."""
        raise NotImplementedError
