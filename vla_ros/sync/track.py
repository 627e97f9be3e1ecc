"""One stream of the synchroniser: its recent samples, its counters and its last verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from vla_ros.spaces import StreamReport, StreamState
from vla_ros.sync.frozen import Frame, FrozenDetector
from vla_ros.sync.history import History, PushResult
from vla_ros.sync.matching import STRATEGIES, Match, before
from vla_ros.sync.stream import StreamConfig

FloatArray = npt.NDArray[np.float64]
Value = Frame | FloatArray


@dataclass(frozen=True, slots=True)
class _Sample:
    """A value as it arrived; ``rates`` of a vector [per s], shape (S,), where they are known."""

    value: Value
    arrival_ns: int
    rates: FloatArray | None


@dataclass(frozen=True, slots=True)
class Part:
    """What one stream contributes to an observation.

    Attributes:
        state: how good it is.
        stamp_ns: the instant it describes.
        value: a picture, or a vector (S,).
    """

    state: StreamState
    stamp_ns: int
    value: Value


class Track:
    """Samples of one stream; the synchroniser asks for the one that belongs to an instant.

    Args:
        config: what the stream declares.

    Attributes:
        config: the same.
        state: the last verdict.
        repeats: repeated stamps since the last new one.
        detector: sees frozen pictures; None for vectors.
    """

    def __init__(self, config: StreamConfig) -> None:
        self.config = config
        self.state: StreamState = "MISSING"
        self.repeats = 0
        self.detector: FrozenDetector | None = None
        if config.frozen_motion is not None:
            self.detector = FrozenDetector(config.frozen_motion)
        self._history: History[_Sample] = History(
            max_age_ns=config.history_age_ns + config.max_age_ns,
            max_count=config.history_count,
            future_ns=config.future_ns,
        )
        self._refused: Counter[str] = Counter()

    @property
    def stamps(self) -> list[int]:
        """Stamps of the samples kept, in rising order; not to be changed."""
        return self._history.stamps

    @property
    def newest_ns(self) -> int | None:
        """The largest stamp, None while there is no sample."""
        return self._history.newest_ns

    @property
    def refused(self) -> Mapping[str, int]:
        """Samples refused so far, by reason."""
        return self._refused + Counter(self._history.refused)

    @property
    def late(self) -> int:
        """Samples that came after a newer one and were sorted in."""
        return self._history.late

    def push(
        self, stamp_ns: int, value: Value, now_ns: int, rates: FloatArray | None = None
    ) -> PushResult:
        """Take a sample in, or refuse and count it; ``stamp_ns`` is its header's."""
        taken_ns = self.config.taken_ns(stamp_ns, now_ns)
        if not isinstance(value, Frame):
            value = self.config.blend.canonical(value)
        result = self._history.push(taken_ns, _Sample(value, now_ns, rates), now_ns)
        if result == "added":
            self.repeats = 0
        elif result == "duplicate":
            self.repeats += 1
        return result

    def count_refused(self, reason: str) -> None:
        """Count a sample that was refused before it could be pushed."""
        self._refused[reason] += 1

    def arrival_ns(self, index: int) -> int:
        """When a sample kept arrived."""
        return self._history.values[index].arrival_ns

    def settled(self, due_ns: int, arrival_ns: int, now_ns: int) -> bool:
        """Can no better sample for ``due_ns`` come, or has it been waited for long enough?"""
        newest = self.newest_ns
        if newest is not None and newest >= due_ns:
            return True
        return now_ns >= max(arrival_ns, due_ns) + self.config.wait_ns

    def select(self, due_ns: int) -> Part | None:
        """The sample for an instant by the stream's strategy, or a held one; None: lost."""
        config = self.config
        state: StreamState = "OK"
        match = STRATEGIES[config.strategy](self.stamps, due_ns, config.tolerance_ns)
        if match is None and config.on_loss == "hold":
            match, state = before(self.stamps, due_ns, config.max_age_ns), "HELD"
        if match is None:
            return None
        if match.left != match.right:
            state = "INTERPOLATED"
        return Part(state, match.stamp_ns, self._value(match))

    def exactly(self, stamp_ns: int) -> Part:
        """The sample of the anchor itself; the stamp must be one of ``stamps``."""
        match = before(self.stamps, stamp_ns, 0)
        assert match is not None, "an anchor's stamp is one of its own"
        return Part("OK", stamp_ns, self._value(match))

    def report(self, part: Part | None, due_ns: int, now_ns: int) -> StreamReport:
        """How the stream took part, or stands where there is no observation."""
        stamp_ns = part.stamp_ns if part is not None else self.newest_ns or 0
        return StreamReport(
            name=self.config.name,
            state=part.state if part is not None else self.state,
            stamp_ns=stamp_ns,
            offset_ns=stamp_ns - due_ns if part is not None else 0,
            age_ns=now_ns - stamp_ns if stamp_ns else 0,
            rate_hz=self._rate_hz(now_ns),
            drops=sum(self.refused.values()),
        )

    def clear(self) -> None:
        """Forget the samples; the counters stay."""
        self._history.clear()
        self.repeats = 0
        self.state = "MISSING"
        if self.detector is not None:
            self.detector.clear()

    def _rate_hz(self, now_ns: int) -> float:
        """Of the samples kept, by arrival; it sinks once the stream has ceased."""
        samples = self._history.values
        if len(samples) < 2:
            return 0.0
        return (len(samples) - 1) * 1e9 / max(now_ns - samples[0].arrival_ns, 1)

    def _value(self, match: Match) -> Value:
        left, right = self._history.values[match.left], self._history.values[match.right]
        if match.left == match.right:
            return left.value
        gains = None
        if left.rates is not None and right.rates is not None:
            span_s = (self.stamps[match.right] - self.stamps[match.left]) * 1e-9
            gains = (left.rates * span_s, right.rates * span_s)
        between = self.config.blend.between(
            cast(FloatArray, left.value), cast(FloatArray, right.value), match.fraction, gains
        )
        between.setflags(write=False)
        return between
