"""The recent samples of one stream, sorted by stamp and bounded in age and number."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

V = TypeVar("V")

PushResult = Literal["added", "duplicate", "zero", "future", "old"]


class History(Generic[V]):
    """Samples by stamp; late ones are sorted in, lies about time are refused and counted.

    Args:
        max_age_ns: samples older than the newest by more than this are forgotten.
        max_count: at most this many samples are kept, the newest.
        future_ns: a stamp may be this far ahead of now (clocks of two hosts, queued clock).
    """

    def __init__(self, *, max_age_ns: int, max_count: int, future_ns: int) -> None:
        if max_age_ns <= 0 or max_count <= 0 or future_ns < 0:
            raise ValueError("a history needs a positive age and count, and no negative tolerance")
        self._max_age_ns = max_age_ns
        self._max_count = max_count
        self._future_ns = future_ns
        self._stamps: list[int] = []
        self._values: list[V] = []
        self._refused: Counter[str] = Counter()
        self._late = 0

    @property
    def stamps(self) -> list[int]:
        """Stamps in rising order. The history's own list: read it, do not change it."""
        return self._stamps

    @property
    def values(self) -> list[V]:
        """Values in the order of ``stamps``. The history's own list."""
        return self._values

    @property
    def newest_ns(self) -> int | None:
        """The largest stamp, None while there is no sample."""
        return self._stamps[-1] if self._stamps else None

    @property
    def refused(self) -> Mapping[str, int]:
        """Samples refused so far, by reason."""
        return self._refused

    @property
    def drops(self) -> int:
        """Samples refused so far."""
        return self._refused.total()

    @property
    def late(self) -> int:
        """Samples that came after a newer one and were sorted in."""
        return self._late

    def push(self, stamp_ns: int, value: V, now_ns: int) -> PushResult:
        """Sort a sample in, or refuse it and say why."""
        result = self._judge(stamp_ns, now_ns)
        if result != "added":
            self._refused[result] += 1
            return result
        stamps, values = self._stamps, self._values
        if not stamps or stamp_ns > stamps[-1]:
            stamps.append(stamp_ns)
            values.append(value)
        else:
            at = bisect_left(stamps, stamp_ns)
            if stamps[at] == stamp_ns:
                self._refused["duplicate"] += 1
                return "duplicate"
            self._late += 1
            stamps.insert(at, stamp_ns)
            values.insert(at, value)
        keep = max(
            bisect_left(stamps, stamps[-1] - self._max_age_ns), len(stamps) - self._max_count
        )
        if keep > 0:
            del stamps[:keep]
            del values[:keep]
        return "added"

    def clear(self) -> None:
        """Forget the samples (a clock jump); the counters stay."""
        self._stamps.clear()
        self._values.clear()

    def _judge(self, stamp_ns: int, now_ns: int) -> PushResult:
        if stamp_ns <= 0:
            return "zero"
        if stamp_ns > now_ns + self._future_ns:
            return "future"
        if not self._stamps:
            return "added"
        full = len(self._stamps) >= self._max_count and stamp_ns < self._stamps[0]
        if full or stamp_ns < self._stamps[-1] - self._max_age_ns:
            return "old"
        return "added"
