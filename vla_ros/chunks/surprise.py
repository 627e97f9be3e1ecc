"""Telling a chunk that knows something new from one that merely differs.

Averaging chunks takes out what each of them has of its own, as long as they mean the same. When the
scene has changed they do not: then the old ones are wrong, not noisy, and averaging them in delays
the reaction by as long as they reach. How much chunks differ that mean the same is seen while they
are joined.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from vla_ros.chunks.aggregate import resample
from vla_ros.chunks.plan import Plan
from vla_ros.spaces.vectors import VectorSpace

MEMORY = 8
ENOUGH = 4
FACTOR = 4.0


def disagreement(
    new: npt.NDArray[np.float64],
    start_ns: int,
    dt_ns: int,
    old: Plan,
    space: VectorSpace,
    from_ns: int,
    delay_ns: int = 0,
) -> npt.NDArray[np.float64] | None:
    """How far a chunk is from the plan in force, where both say something.

    Args:
        new: The chunk. Shape (T, A).
        start_ns: Due time of its row 0, in [ns].
        dt_ns: Its step, in [ns].
        old: The plan in force.
        space: Meaning of the columns.
        from_ns: When the chunk takes over, in [ns].
        delay_ns: How much later than its stamps the old plan is executed, in [ns].

    Returns:
        Root mean square over the rows they share, of the columns that are no switches. Shape (C,).
        None where they share no row.
    """
    due_ns = start_ns + dt_ns * np.arange(len(new), dtype=np.int64)
    shared = (due_ns >= from_ns) & (due_ns <= old.end_ns + delay_ns)
    if not shared.any():
        return None
    apart = (new - resample(old, space, start_ns, dt_ns, len(new), delay_ns))[shared]
    return np.asarray(np.sqrt(np.square(apart[:, ~space.mask("binary")]).mean(axis=0)))


class Surprise:
    """Remembers how far chunks usually are from the plan in force."""

    def __init__(self) -> None:
        self._recent: deque[npt.NDArray[np.float64]] = deque(maxlen=MEMORY)

    def by(self, apart: npt.NDArray[np.float64]) -> bool:
        """Whether a chunk that is ``apart`` (C,) is far from what is usual, in any column."""
        usual = np.median(self._recent, axis=0) if len(self._recent) >= ENOUGH else np.inf
        self._recent.append(apart)
        return bool((apart > FACTOR * usual).any())
