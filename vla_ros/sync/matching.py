"""Which sample of a stream belongs to an instant: three strategies over sorted stamps."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Strategy = Literal["nearest", "before", "interpolate"]


@dataclass(frozen=True, slots=True)
class Match:
    """Sample ``left``, or the point ``fraction`` of the way from ``left`` to ``right``.

    Attributes:
        left: index of the sample at or before the instant (or the one chosen).
        right: index of the sample after it; equal to ``left`` where one sample is used.
        fraction: 0 at ``left``, 1 at ``right``.
        stamp_ns: the instant that the result describes.
    """

    left: int
    right: int
    fraction: float
    stamp_ns: int


def nearest(stamps: Sequence[int], due_ns: int, tolerance_ns: int) -> Match | None:
    """The sample closest to ``due_ns`` (the earlier of two equally close), within tolerance."""
    at = bisect_left(stamps, due_ns)
    around = [i for i in (at - 1, at) if 0 <= i < len(stamps)]
    if not around:
        return None
    best = min(around, key=lambda i: (abs(stamps[i] - due_ns), stamps[i]))
    return _one(stamps, best) if abs(stamps[best] - due_ns) <= tolerance_ns else None


def before(stamps: Sequence[int], due_ns: int, tolerance_ns: int) -> Match | None:
    """The newest sample at or before ``due_ns``, at most ``tolerance_ns`` older."""
    at = bisect_right(stamps, due_ns) - 1
    if at < 0 or due_ns - stamps[at] > tolerance_ns:
        return None
    return _one(stamps, at)


def interpolate(stamps: Sequence[int], due_ns: int, tolerance_ns: int) -> Match | None:
    """The two samples around ``due_ns``, each within tolerance of it; never beyond the ends."""
    at = bisect_left(stamps, due_ns)
    if at < len(stamps) and stamps[at] == due_ns:
        return _one(stamps, at)
    if not 0 < at < len(stamps):
        return None
    left, right = stamps[at - 1], stamps[at]
    if due_ns - left > tolerance_ns or right - due_ns > tolerance_ns:
        return None
    return Match(at - 1, at, (due_ns - left) / (right - left), due_ns)


STRATEGIES = {"nearest": nearest, "before": before, "interpolate": interpolate}
"""The strategies by the name that a stream's configuration uses."""


def _one(stamps: Sequence[int], index: int) -> Match:
    return Match(index, index, 0.0, stamps[index])
