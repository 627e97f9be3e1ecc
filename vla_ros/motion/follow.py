"""From the commanded state onto a plan, along it, and to rest after its last row.

Four ways are tried, the gentlest first: the plan with a seam fade, the plan with a longer fade, a
Ruckig move that meets the plan as early as it can, and a Ruckig move to rest at the last row. The
plan runs slower as a whole where it must. What no way can do inside the limits is refused.

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
from vla_ros.motion.limits import FloatArray, MotionLimits, MotionRefused
from vla_ros.motion.ruckig_moves import Mover
from vla_ros.motion.scaling import Pace, demand
from vla_ros.motion.seam import fade
from vla_ros.motion.setpoint import LIMITED_POSITION
from vla_ros.motion.timeline import Piece, Segment

FADE_FACTORS = (1.0, 1.5, 2.25)
SLOWER = ((1.0, 0.15), (1.1, 0.3), (1.5, 0.3), (2.0, 0.3))  # factor, reach of slowing down in [s]
SCALE_MARGIN = 1.01
REJOIN_STEP_S = 0.03
WORTH_FOLLOWING = 0.75
ENDED = "the plan ended without a successor"


@dataclass(frozen=True, kw_only=True, eq=False)
class Follower:
    """The settings that are the same for every plan of a group of joints.

    Attributes:
        limits: What every sample obeys.
        bend: Position limits that plans are bent to stay inside (those of the robot).
        mover: Ruckig for this group.
        period_s: Control period, in [s].
        fade_s: Duration of the seam fade, in [s].
        max_time_scale: Slowest execution of a plan that is still worth the name.
    """

    limits: MotionLimits
    bend: MotionLimits
    mover: Mover
    period_s: float
    fade_s: float
    max_time_scale: float

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
        step = self.period_s / curve.dt_s
        # One sample more, before the switch, tells the jerk of the plan there.
        count = int((last_row - first_row) / step + 1e-9) + 1
        row = first_row + step * np.arange(-1, count, dtype=np.float64)
        asked = curve.sample(row)
        bent = bend_inside(asked, self.bend)
        row, before, plan = row[1:], bent[:, :1], bent[:, 1:]
        factors, limited = demand(plan, self.period_s, self.limits)
        if bent is not asked:
            moved = np.abs(bent[0] - asked[0]).max(axis=0) > 1e-6
            limited = limited | (moved * LIMITED_POSITION).astype(np.uint8)
        end, planned_s = plan[0, -1], len(row) * self.period_s
        scale, problem = np.ones(len(row)), ""
        for slower, reach_s in SLOWER:
            if limited.any() or slower > 1.0:
                pace = Pace.of(factors * (slower * SCALE_MARGIN), self.period_s, reach_s)
                if pace.duration_s > self.max_time_scale * planned_s:
                    if not problem:
                        self._refuse(pace.duration_s / planned_s, limited)
                    break
                time, rate, change = pace.on_grid(self.period_s)
                row, scale = first_row + time / curve.dt_s, 1.0 / rate
                plan = curve.sample(row, rate[:, None], change[:, None])
                plan = bend_inside(plan, self.bend)
                step = self.period_s / (curve.dt_s * scale[0])
                before = bend_inside(curve.sample(row[:1] - step, rate[0], change[0]), self.bend)
            jerk = (plan[2, 0] - before[2, 0]) / self.period_s
            for samples, ramp in self._ways(state, plan, jerk):
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
                    on_plan = Piece(
                        segment=Segment(state="TRACKING", limited=limited),
                        samples=samples,
                        row=row[:count],
                        reference=_between_rows(rows, row[:count]),
                        time_scale=scale[:count],
                    )
                    return _pieces(on_plan, ramp, tail[:, 1:])
        move = self._to_rest(state[:3], end)
        if move is None:
            raise MotionRefused(f"The plan cannot be reached inside the limits: {problem}.")
        return [Piece.outside_plans(Segment(state="RAMPING", limited=limited), move)]

    def _refuse(self, scale: float, limited: NDArray[np.uint8]) -> NoReturn:
        raise MotionRefused(
            f"The plan would have to run {scale:.3g} times slower to keep the limits, expected at "
            f"most {self.max_time_scale:.3g} times; joints that ask for it: "
            f"{_named(self.limits.names, limited)}. Check units and limits; if the rows carry "
            f"noise, "
            f"declare it (smoothing.noise_rad)."
        )

    def _ways(
        self, state: FloatArray, plan: FloatArray, jerk: FloatArray
    ) -> Iterator[tuple[FloatArray, int]]:
        """Ways onto the plan, and for each the number of samples spent on a Ruckig move."""
        count = plan.shape[1]
        offset = state - np.concatenate([plan[:, 0], jerk[None]])
        t = np.arange(count, dtype=np.float64) * self.period_s
        for factor in FADE_FACTORS:
            samples = plan.copy()
            added = fade(offset, t, factor * self.fade_s)
            samples[:, : added.shape[1]] += added
            yield samples, 0
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
        move = self.mover.to(state, np.stack([position, 0.0 * position, 0.0 * position]))
        if move is None:
            return None
        samples = move.on_grid(self.period_s)
        ok = not violation(samples, self.period_s, self.limits)
        return samples if ok and stoppable(samples, self.limits).all() else None


def _pieces(on_plan: Piece, ramp: int, tail: FloatArray) -> list[Piece]:
    """The way onto and along the plan in its two states, and the brake after it."""
    still = np.zeros_like(on_plan.segment.limited)
    brake = Piece.outside_plans(
        Segment(state="BRAKING", limited=still, reason=ENDED),
        tail,
        np.broadcast_to(on_plan.reference[-1], tail.shape[1:]),
    )
    if not ramp:
        return [on_plan, brake]
    ramping = Segment(state="RAMPING", limited=on_plan.segment.limited)
    return [on_plan.part(slice(0, ramp), ramping), on_plan.part(slice(ramp, None)), brake]


def _between_rows(rows: FloatArray, row: FloatArray) -> FloatArray:
    """The rows (T, N), linear in between and held outside, at fractional rows (n,). Shape (n,
    N).
    """
    inside = np.clip(row, 0.0, len(rows) - 1.0)
    index = np.minimum(inside.astype(np.int64), max(len(rows) - 2, 0))
    part = (inside - index)[:, None]
    following = np.minimum(index + 1, len(rows) - 1)
    return rows[index] * (1.0 - part) + rows[following] * part


def _named(names: tuple[str, ...], limited: NDArray[np.uint8]) -> str:
    return ", ".join(name for name, bits in zip(names, limited, strict=True) if bits) or "none"
