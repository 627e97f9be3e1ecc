"""The commanded curve of a group of joints, as samples on the control grid.

Everything a plan, a stop or a move will command is computed once, when it is asked for; a control
tick is a look-up. Replacing means: from one tick on, other samples. The last sample is at rest, so
the group comes to rest if nobody asks for anything more.

Axis letters: N joints, n samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_ros.motion.limits import FloatArray
from vla_ros.motion.setpoint import MotionState

HISTORY = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """What a run of samples has in common.

    Attributes:
        state: What the group does during it.
        reason: Why, where nobody asked for motion.
        limited: Bits of the limits that changed the plan. Shape (N,), uint8.
    """

    state: MotionState
    limited: NDArray[np.uint8]
    reason: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """Samples of one segment, to be put on the timeline.

    Attributes:
        segment: What they have in common.
        samples: Position, velocity, acceleration. Shape (3, n, N).
        reference: What was asked for, before smoothing and limits. Shape (n, N).
        row: Fractional row of the plan; NaN outside plans. Shape (n,).
        stretch: How many times slower than planned; 1 outside plans. Shape (n,).
    """

    segment: Segment
    samples: FloatArray
    reference: FloatArray
    row: FloatArray
    stretch: FloatArray

    @classmethod
    def outside_plans(
        cls, segment: Segment, samples: FloatArray, reference: FloatArray | None = None
    ) -> Piece:
        """A piece of no plan, by default with its own positions as the reference."""
        count = samples.shape[1]
        return cls(
            segment=segment,
            samples=samples,
            reference=samples[0] if reference is None else reference,
            row=np.full(count, np.nan),
            stretch=np.ones(count),
        )

    def part(self, samples: slice, segment: Segment | None = None) -> Piece:
        """Some of the samples, of the same or another segment."""
        return Piece(
            segment=segment or self.segment,
            samples=self.samples[:, samples],
            reference=self.reference[samples],
            row=self.row[samples],
            stretch=self.stretch[samples],
        )


class Timeline:
    """Samples every ``period_ns`` from an origin on; before the first and after the last it
    holds.
    """

    def __init__(self, origin_ns: int, period_ns: int, state: FloatArray, segment: Segment) -> None:
        self.origin_ns = origin_ns
        self.period_ns = period_ns
        # History before the origin: the parabola through the state.
        t = np.arange(-HISTORY, 1)[:, None] * (period_ns * 1e-9)
        p, v, a = state
        self._first = -HISTORY
        self._samples = np.stack([p + t * (v + 0.5 * a * t), v + a * t, a + 0.0 * t])
        self._row = np.full(HISTORY + 1, np.nan)
        self._stretch = np.ones(HISTORY + 1)
        self._reference = self._samples[0].copy()
        self._segments = [segment]
        self._segment_at = np.zeros(HISTORY + 1, dtype=np.int64)

    @property
    def end(self) -> int:
        """Index of the last sample: at rest, and held from there on."""
        return self._first + self._samples.shape[1] - 1

    def tick_at_or_after(self, t_ns: int) -> int:
        """Index of the first sample due at or after ``t_ns``."""
        return -((self.origin_ns - t_ns) // self.period_ns)

    def time_ns(self, tick: int) -> int:
        """When sample ``tick`` is due."""
        return self.origin_ns + tick * self.period_ns

    def _index(self, tick: int) -> int:
        return min(max(tick - self._first, 0), self._samples.shape[1] - 1)

    def state(self, tick: int) -> FloatArray:
        """Position, velocity, acceleration at a sample. Shape (3, N)."""
        return self._samples[:, self._index(tick)]

    def jerk(self, tick: int) -> FloatArray:
        """Jerk of the step to a sample. Shape (N,)."""
        step = self.state(tick)[2] - self.state(tick - 1)[2]
        return step / (self.period_ns * 1e-9)

    def segment(self, tick: int) -> Segment:
        """The segment that a sample belongs to."""
        return self._segments[self._segment_at[self._index(tick)]]

    def row(self, tick: int) -> float:
        """Fractional row at a sample."""
        return float(self._row[self._index(tick)])

    def stretch(self, tick: int) -> float:
        """How many times slower than planned a sample is executed."""
        return float(self._stretch[self._index(tick)])

    def reference(self, tick: int) -> FloatArray:
        """What was asked for at a sample. Shape (N,)."""
        return self._reference[self._index(tick)]

    def states(self, t_ns: NDArray[np.int64]) -> FloatArray:
        """Position, velocity, acceleration at any times (n,), between samples by quintics.

        Returns:
            Shape (3, n, N).
        """
        tick, rest = np.divmod(t_ns - self.origin_ns, self.period_ns)
        last = self._samples.shape[1] - 1
        left = np.clip(tick - self._first, 0, last)
        if not rest.any():
            return self._samples[:, left]
        right = np.minimum(left + 1, last)
        u = np.where(tick < self._first, 0.0, rest / self.period_ns)
        return hermite(self._samples[:, left], self._samples[:, right], u, self.period_ns * 1e-9)

    def splice(self, tick: int, pieces: list[Piece], forget_before: int) -> None:
        """From sample ``tick`` on, the pieces one after another; they end at rest.

        Args:
            tick: Index of the first sample that is replaced.
            pieces: What comes instead.
            forget_before: Samples more than ``HISTORY`` before this one are dropped.
        """
        if forget_before - HISTORY > self.end:
            # At rest for long: history is the last sample only.
            self._first += forget_before - HISTORY - self.end
        begin = min(max(forget_before - HISTORY - self._first, 0), self._samples.shape[1] - 1)
        keep = tick - self._first
        held = keep - self._samples.shape[1]
        kept = slice(begin, max(keep, begin))
        samples = [self._samples[:, kept]]
        row = [self._row[kept]]
        stretch = [self._stretch[kept]]
        reference = [self._reference[kept]]
        segment_at = [self._segment_at[kept]]
        if held > 0:
            # The group rests between the last sample and the switch.
            samples.append(np.repeat(self._samples[:, -1:], held, axis=1))
            row.append(np.full(held, np.nan))
            stretch.append(np.ones(held))
            reference.append(np.repeat(self._reference[-1:], held, axis=0))
            segment_at.append(np.repeat(self._segment_at[-1:], held))
        used = int(self._segment_at[begin]) if begin < len(self._segment_at) else 0
        segments = self._segments[used:]
        for piece in pieces:
            count = piece.samples.shape[1]
            samples.append(piece.samples)
            row.append(piece.row)
            stretch.append(piece.stretch)
            reference.append(piece.reference)
            segment_at.append(np.full(count, used + len(segments)))
            segments.append(piece.segment)
        self._samples = np.concatenate(samples, axis=1)
        self._row = np.concatenate(row)
        self._stretch = np.concatenate(stretch)
        self._reference = np.concatenate(reference)
        self._segment_at = np.concatenate(segment_at) - used
        self._segments = segments
        self._first += begin


def hermite(
    left: FloatArray, right: FloatArray, u: FloatArray, step_s: float | FloatArray
) -> FloatArray:
    """The quintic between two states, as trajectory controllers interpolate.

    Args:
        left: Position, velocity, acceleration at the start. Shape (3, n, N).
        right: The same at the end. Shape (3, n, N).
        u: Fraction of the step, 0 to 1. Shape (n,).
        step_s: Duration of the step, in [s]; one, or one per pair of states (n, 1).

    Returns:
        Position, velocity, acceleration. Shape (3, n, N).
    """
    u = u[:, None]
    p0, v0, a0 = left[0], left[1] * step_s, left[2] * step_s**2
    v1, a1 = right[1] * step_s, right[2] * step_s**2
    rise = right[0] - p0
    c3 = 10.0 * rise - 6.0 * v0 - 4.0 * v1 - 1.5 * a0 + 0.5 * a1
    c4 = -15.0 * rise + 8.0 * v0 + 7.0 * v1 + 1.5 * a0 - a1
    c5 = 6.0 * rise - 3.0 * (v0 + v1) - 0.5 * (a0 - a1)
    position = p0 + u * (v0 + u * (0.5 * a0 + u * (c3 + u * (c4 + u * c5))))
    velocity = v0 + u * (a0 + u * (3.0 * c3 + u * (4.0 * c4 + u * 5.0 * c5)))
    acceleration = a0 + u * (6.0 * c3 + u * (12.0 * c4 + u * 20.0 * c5))
    return np.stack([position, velocity / step_s, acceleration / step_s**2])
