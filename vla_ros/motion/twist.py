"""VelocityMotion: from plans of velocities to velocity commands that keep the displacement.

A row of a velocity slice (base twist, joint velocity) is a promise of displacement: its value times
``dt``. The command may not jump, so it owes displacement while it speeds up. It is never faster
than
it could stop within what it owes, so what is missing after speeding up is made good while slowing
down: the displacement is that of the rows, without overshoot or reversing. Rows that were already
past when a plan began are not made up for.

Axis letters: T rows of a plan, N axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_ros.motion.limits import FloatArray, MotionRefused, checked_vector

MAX_MISSED_PERIODS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class VelocitySetpoint:
    """What is commanded from ``t_ns`` on for one control period.

    Attributes:
        t_ns: In [ns] of ROS time.
        velocity: In [m/s] or [rad/s]. Shape (N,).
        row: Row of the plan in force; NaN when there is none.
        stretch: Duration over planned duration of the plan in force.
        reference: What the plan asks for. Shape (N,).
    """

    t_ns: int
    velocity: FloatArray
    row: float
    stretch: float
    reference: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class _VelocityPlan:
    start_ns: int
    dt_ns: int
    rows: FloatArray
    moved: FloatArray
    stretch: float

    @property
    def end_ns(self) -> int:
        return self.start_ns + len(self.rows) * self.dt_ns

    def displacement(self, t_ns: int) -> FloatArray:
        """Integral of the rows, each held for ``dt_ns``, from the start to ``t_ns``. Shape (N,)."""
        inside = min(max(t_ns - self.start_ns, 0), len(self.rows) * self.dt_ns)
        row, rest_ns = divmod(inside, self.dt_ns)
        held = self.rows[row] * (rest_ns * 1e-9) if rest_ns else 0.0
        return self.moved[row] + held


class VelocityMotion:
    """Velocity commands of a group of axes within speed and acceleration limits.

    Args:
        names: Axis names, for messages.
        velocity: Largest speeds, in [m/s] or [rad/s]. Shape (N,).
        acceleration: Largest accelerations, also for stopping, in [m/s^2] or [rad/s^2]. Shape (N,).
        period_ns: Control period, in [ns].
        max_stretch: A plan that would have to run slower than this is refused.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        velocity: FloatArray,
        acceleration: FloatArray,
        period_ns: int,
        *,
        max_stretch: float = 4.0,
    ) -> None:
        self.names = names
        self._velocity_limit = checked_vector("The speed limits", velocity, len(names))
        self._acceleration = checked_vector("The acceleration limits", acceleration, len(names))
        if (self._velocity_limit <= 0.0).any() or (self._acceleration <= 0.0).any():
            raise MotionRefused(f"Speed and acceleration limits of {names} must be above 0.")
        self._period_ns = period_ns
        self._max_stretch = max_stretch
        self.reset(0)

    def reset(self, now_ns: int) -> None:
        """Stand still, with no plan."""
        self._now_ns: int | None = None
        self._velocity = np.zeros(len(self.names))
        self._owed = np.zeros(len(self.names))
        self._stopping = True
        self._plan: _VelocityPlan | None = None
        self._next: tuple[int, _VelocityPlan] | None = None

    @property
    def at_rest(self) -> bool:
        """Whether zero is commanded and no plan asks for more."""
        return not self._velocity.any() and self._plan is None and self._next is None

    def accept(
        self, start_ns: int, dt_ns: int, valid_from_ns: int, velocities: FloatArray, now_ns: int
    ) -> None:
        """Execute a plan (T, N) from ``max(valid_from_ns, next tick)`` on, at the row due then.

        Raises:
            MotionRefused: A malformed plan, one that is all in the past, or one that is much too
                fast. The plan in force stays.
        """
        rows = np.array(velocities, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.names) or len(rows) == 0:
            raise MotionRefused(
                f"The velocity plan has shape {rows.shape}, expected (rows, {len(self.names)})."
            )
        if not np.isfinite(rows).all() or dt_ns <= 0:
            raise MotionRefused(
                f"The velocity plan must be finite with a positive spacing, got "
                f"{np.count_nonzero(~np.isfinite(rows))} values that are not, every {dt_ns} ns."
            )
        stretch = max(1.0, float((np.abs(rows) / self._velocity_limit).max()))
        if stretch > self._max_stretch:
            raise MotionRefused(
                f"The velocity plan is {stretch:.3g} times faster than the limits of "
                f"{', '.join(self.names)}, expected at most {self._max_stretch:.3g} times. "
                f"Check "
                f"its units."
            )
        begin_ns = max(valid_from_ns, now_ns + 1, start_ns)
        if begin_ns >= start_ns + len(rows) * dt_ns:
            raise MotionRefused("Every row of the velocity plan is in the past. Infer faster.")
        if stretch > 1.0:
            # Slower and longer, from where it begins: the path is kept.
            start_ns = begin_ns - int((begin_ns - start_ns) * stretch)
            dt_ns = int(dt_ns * stretch)
        rows = rows / stretch
        moved = np.concatenate(
            [np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0) * dt_ns * 1e-9]
        )
        plan = _VelocityPlan(
            start_ns=start_ns, dt_ns=dt_ns, rows=rows, moved=moved, stretch=stretch
        )
        self._next = (begin_ns, plan)

    def stop(self, now_ns: int) -> None:
        """Slow down to zero at the acceleration limits; what is owed is forgotten."""
        self._plan = self._next = None
        self._stopping = True

    def advance(self, now_ns: int) -> VelocitySetpoint:
        """The velocity from ``now_ns`` on; call it once each control period."""
        elapsed_ns = 0 if self._now_ns is None else now_ns - self._now_ns
        if not 0 <= elapsed_ns <= MAX_MISSED_PERIODS * self._period_ns:
            self.stop(now_ns)
        self._now_ns = now_ns
        if self._next is not None and self._next[0] <= now_ns:
            self._plan, self._next = self._next[1], None
            self._stopping = False
            self._owed = self._stopping_distance()
        reference, row, stretch = np.zeros(len(self.names)), float("nan"), 1.0
        if self._plan is not None:
            plan, until_ns = self._plan, now_ns + self._period_ns
            reference = plan.displacement(until_ns) - plan.displacement(now_ns)
            self._owed = self._owed + reference
            reference = reference / (self._period_ns * 1e-9)
            row, stretch = (now_ns - plan.start_ns) / plan.dt_ns, plan.stretch
            if until_ns >= plan.end_ns:
                self._plan = None
        self._step()
        return VelocitySetpoint(
            t_ns=now_ns,
            velocity=self._velocity.copy(),
            row=row,
            stretch=stretch,
            reference=reference,
        )

    def _stopping_distance(self) -> FloatArray:
        """What is moved while slowing down to zero from now on, in whole periods. Shape (N,)."""
        step = self._acceleration * self._period_ns * 1e-9
        speed = np.abs(self._velocity)
        count = np.floor(speed / step)
        distance = (speed * count - step * count * (count + 1.0) / 2.0) * self._period_ns * 1e-9
        return np.sign(self._velocity) * distance

    def _step(self) -> None:
        """One period towards owing nothing, never faster than it could stop within what is owed."""
        period_s = self._period_ns * 1e-9
        step = self._acceleration * period_s
        if self._stopping:
            self._velocity = self._velocity - np.clip(self._velocity, -step, step)
            return
        # v * period + v (v - step) / (2 a) = owed: this period, then slowing down in equal
        # steps. The
        # last of them may be a part of a step, which moves up to step * period / 8 more.
        owed, half = np.abs(self._owed), 0.5 * step
        surely = np.maximum(owed - 0.125 * step * period_s, 0.0)
        speed = np.sqrt(half**2 + 2.0 * self._acceleration * surely) - half
        speed = np.where(owed <= step * period_s, owed / period_s, speed)
        speed = np.sign(self._owed) * np.minimum(speed, self._velocity_limit)
        self._velocity = np.clip(speed, self._velocity - step, self._velocity + step)
        self._owed = self._owed - self._velocity * period_s
        settled = np.abs(self._owed) < 1e-12
        self._owed[settled] = 0.0
