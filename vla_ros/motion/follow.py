"""From the commanded state onto a plan, along it, and to rest after its last row.

Four ways are tried, the gentlest first: the plan with a seam fade, the plan with a longer fade, a
Ruckig move that meets the plan as early as it can, and a Ruckig move to rest at the last row. The
plan runs slower as a whole where it must, and slows down to rest on its last row. What no way can
do inside the limits is refused.

Axis letters: T rows, N joints, n samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from vla_ros.motion.curve import Curve, bend_inside
from vla_ros.motion.guard import stoppable, violation
from vla_ros.motion.landing import land, slowing_for
from vla_ros.motion.limits import FloatArray, MotionLimits, MotionRefused
from vla_ros.motion.pose import SHORTEST_PERIODS
from vla_ros.motion.ruckig_moves import Mover
from vla_ros.motion.scaling import Pace, demand
from vla_ros.motion.seam import fade
from vla_ros.motion.setpoint import LIMITED_POSITION
from vla_ros.motion.timeline import Piece, Segment

FADE_FACTORS = (1.0, 1.5, 2.25)
LANDING_FACTORS = (1.0, 1.2, 1.5, 2.25)
SLOWER = ((1.0, 0.15), (1.1, 0.3), (1.5, 0.3), (2.0, 0.3))  # factor, reach of slowing down in [s]
SCALE_MARGIN = 1.01
REJOIN_STEP_S = 0.03
WORTH_FOLLOWING = 0.75
ENDED = "the plan ended without a successor"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Timed:
    """A part of a plan at the times of the control grid.

    Attributes:
        samples: Position, velocity, acceleration. Shape (3, n, N).
        row: Fractional rows. Shape (n,).
        stretch: How many times slower than planned. Shape (n,).
    """

    samples: FloatArray
    row: FloatArray
    stretch: FloatArray

    def part(self, samples: slice) -> _Timed:
        return _Timed(
            samples=self.samples[:, samples], row=self.row[samples], stretch=self.stretch[samples]
        )

    def then(self, other: _Timed) -> _Timed:
        return _Timed(
            samples=np.concatenate([self.samples, other.samples], axis=1),
            row=np.concatenate([self.row, other.row]),
            stretch=np.concatenate([self.stretch, other.stretch]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Course:
    """A plan as it will be executed once it is reached.

    Attributes:
        timed: From the switch on.
        landing: The sample from which on it slows down to rest on the last row; their number where
            it ends at rest, or too close to the limits for that.
        jerk: Of the plan in the step to its first sample. Shape (N,).
    """

    timed: _Timed
    landing: int
    jerk: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Follower:
    """The settings that are the same for every plan of a group of joints.

    Attributes:
        limits: What every sample obeys.
        bend: Position limits that plans are bent to stay inside (those of the robot).
        mover: Ruckig for this group.
        period_s: Control period, in [s].
        fade_s: Duration of the seam fade, in [s].
        max_stretch: Slowest execution of a plan that is still worth the name.
    """

    limits: MotionLimits
    bend: MotionLimits
    mover: Mover
    period_s: float
    fade_s: float
    max_stretch: float

    def follow(
        self, state: FloatArray, curve: Curve, rows: FloatArray, first_row: float, last_row: float
    ) -> list[Piece]:
        """The samples from ``state`` on, ending at rest.

        Args:
            state: Commanded position, velocity, acceleration, jerk at the switch. Shape (4, N).
            curve: The plan.
            rows: The plan as it was asked for, before smoothing. Shape (T, N).
            first_row: Fractional row due at the switch.
            last_row: Fractional row at which the plan ends, at least ``first_row``.

        Raises:
            MotionRefused: No way inside the limits.
        """
        planned_s = (last_row - first_row) * curve.dt_s
        row = first_row + self._grid(planned_s) / curve.dt_s
        asked = curve.sample(row)
        bent = bend_inside(asked, self.bend)
        factors, limited = demand(bent[:, 1:], self.period_s, self.limits)
        if bent is not asked:
            moved = np.abs(bent[0] - asked[0]).max(axis=0) > 1e-6
            limited = limited | (moved * LIMITED_POSITION).astype(np.uint8)
        timed = _Timed(samples=bent, row=row, stretch=np.ones(len(row)))
        end, problem = bent[0, -1], ""
        for slower, reach_s in SLOWER:
            pace = None
            if limited.any() or slower > 1.0:
                pace = Pace.of(factors * (slower * SCALE_MARGIN), self.period_s, reach_s, planned_s)
                if pace.duration_s > self.max_stretch * planned_s:
                    if not problem:
                        self._refuse(pace.duration_s / planned_s, limited)
                    break
                time = self._grid(pace.duration_s)
                timed = self._timed(
                    curve, first_row, pace, np.stack([time, np.ones_like(time), 0.0 * time])
                )
            course = self._course(curve, first_row, planned_s, pace, timed)
            for samples, ramp in self._ways(state, course):
                problem = violation(samples, self.period_s, self.limits)
                if problem:
                    continue
                count = self._followed(samples)
                if count <= ramp:
                    problem = "the group could not stop before a limit"
                    continue
                samples = samples[:, :count]
                tail = self.mover.stop(samples[:, -1]).on_grid(self.period_s)
                problem = violation(tail, self.period_s, self.limits)
                if not problem:
                    row = course.timed.row[:count]
                    on_plan = Piece(
                        segment=Segment(state="TRACKING", limited=limited),
                        samples=samples,
                        row=row,
                        reference=_between_rows(rows, row),
                        stretch=course.timed.stretch[:count],
                    )
                    return _pieces(on_plan, ramp, max(course.landing, ramp), tail[:, 1:])
        move = self._to_rest(state[:3], end)
        if move is None:
            raise MotionRefused(f"The plan cannot be reached inside the limits: {problem}.")
        return [Piece.outside_plans(Segment(state="RAMPING", limited=limited), move)]

    def _refuse(self, stretch: float, limited: NDArray[np.uint8]) -> NoReturn:
        raise MotionRefused(
            f"The plan would have to run {stretch:.3g} times slower to keep the limits, expected "
            f"at most {self.max_stretch:.3g} times; joints that ask for it: "
            f"{_named(self.limits.names, limited)}. Check units and limits; if the rows carry "
            f"noise, declare it (smoothing.noise_rad)."
        )

    def _grid(self, duration_s: float) -> FloatArray:
        """Times since the switch, in [s]; the first, a period before, tells the plan's jerk."""
        count = int(duration_s / self.period_s + 1e-9) + 1
        return np.arange(-1, count, dtype=np.float64) * self.period_s

    def _course(
        self, curve: Curve, first_row: float, planned_s: float, pace: Pace | None, timed: _Timed
    ) -> _Course:
        """The plan at its pace, coming to rest on its last row where the limits allow that."""
        duration_s = planned_s if pace is None else pace.duration_s
        jerk = (timed.samples[2, 1] - timed.samples[2, 0]) / self.period_s
        flown = timed.part(slice(1, None))
        slowing = slowing_for(flown.samples, self.period_s, self.limits)
        ways = [slowing.longer(factor) for factor in LANDING_FACTORS] if slowing else []
        for way in ways:
            begin, time = land(duration_s, way, self.period_s)
            landed = self._timed(curve, first_row, pace, time)
            if not violation(landed.samples, self.period_s, self.limits):
                landed.samples[1:, -1] = 0.0
                whole = flown.part(slice(0, begin)).then(landed)
                return _Course(timed=whole, landing=begin, jerk=jerk)
        return _Course(timed=flown, landing=len(flown.row), jerk=jerk)

    def _timed(self, curve: Curve, first_row: float, pace: Pace | None, time: FloatArray) -> _Timed:
        """The plan at ``time`` (3, n): planned time, its rate and the change of its rate."""
        passed, rate, change = time
        stretch = np.ones(len(passed))
        if pace is not None:
            passed, paced, slope = pace.at(passed)
            stretch = 1.0 / paced
            rate, change = paced * rate, slope * rate**2 + paced * change
        row = first_row + passed / curve.dt_s
        samples = curve.sample(row, rate, change)
        return _Timed(samples=bend_inside(samples, self.bend), row=row, stretch=stretch)

    def _ways(self, state: FloatArray, course: _Course) -> Iterator[tuple[FloatArray, int]]:
        """Ways onto the plan, and for each the number of samples spent on a Ruckig move."""
        plan = course.timed.samples
        count = plan.shape[1]
        offset = state - np.concatenate([plan[:, 0], course.jerk[None]])
        for factor in FADE_FACTORS:
            samples = plan.copy()
            added = fade(offset, self.period_s, factor * self.fade_s)[:, :count]
            samples[:, : added.shape[1]] += added
            yield samples, 0
        t = np.arange(count, dtype=np.float64) * self.period_s
        stride = max(1, round(REJOIN_STEP_S / self.period_s))
        for meet in range(stride, count, stride):
            move = self.mover.to(state[:3], plan[:, meet], at_least_s=t[meet])
            if move is not None and move.duration_s <= t[meet] + 1e-9:
                yield np.concatenate([move.sample(t[:meet]), plan[:, meet:]], axis=1), meet
                return

    def _followed(self, samples: FloatArray) -> int:
        """How many samples can be followed, always able to stop; 0 if they are too few.

        A plan that ends in a state from which no stop stays inside the limits (fast, towards a
        limit) is left before; its successor will most likely have replaced it by then.
        """
        trapped = ~stoppable(samples, self.limits)
        if not trapped.any():
            return samples.shape[1]
        count = int(np.argmax(trapped))
        return count if count >= WORTH_FOLLOWING * samples.shape[1] else 0

    def _to_rest(self, state: FloatArray, position: FloatArray) -> FloatArray | None:
        goal = np.stack([position, 0.0 * position, 0.0 * position])
        move = self.mover.to(state, goal, SHORTEST_PERIODS * self.period_s)
        if move is None:
            return None
        samples = move.on_grid(self.period_s)
        ok = not violation(samples, self.period_s, self.limits)
        return samples if ok and stoppable(samples, self.limits).all() else None


def _pieces(on_plan: Piece, ramp: int, landing: int, tail: FloatArray) -> list[Piece]:
    """The way onto and along the plan, its landing, and the brake where it was left in motion."""
    limited = on_plan.segment.limited
    ramping = Segment(state="RAMPING", limited=limited)
    braking = Segment(state="BRAKING", limited=limited, reason=ENDED)
    reference = np.full(tail.shape[1:], on_plan.reference[-1])
    brake = Piece.outside_plans(braking, tail, reference)
    return [
        *([on_plan.part(slice(0, ramp), ramping)] if ramp else []),
        on_plan.part(slice(ramp, landing)),
        on_plan.part(slice(landing, None), braking),
        brake,
    ]


def _between_rows(rows: FloatArray, row: FloatArray) -> FloatArray:
    """The rows (T, N), linear in between and held outside, at rows (n,). Shape (n, N)."""
    index = np.arange(len(rows))
    return np.stack([np.interp(row, index, joint) for joint in rows.T], axis=1)


def _named(names: tuple[str, ...], limited: NDArray[np.uint8]) -> str:
    return ", ".join(name for name, bits in zip(names, limited, strict=True) if bits) or "none"
