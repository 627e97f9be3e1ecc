"""How long an answer will take: what real-time chunking must know before it asks.

An inference that starts now takes over after it has run, been published and met the bridge's next
tick. That time is remembered; the age of the observation it starts from is known when it is asked
for and added then, so the delay counts from the due time of row 0. The first inference of a process
loads, compiles and allocates: it says nothing about the others and is not remembered.
"""

from __future__ import annotations

from collections import deque

MEMORY = 8


class ResponseTime:
    """The longest of the last few response times, as in arXiv:2506.07339.

    Args:
        memory: How many are remembered; one slow answer is forgotten after as many.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._recent: deque[int] = deque(maxlen=memory)
        self._warm = False

    def add(self, response_ns: int) -> None:
        """One answer took this long from the start of inference to its takeover, in [ns]."""
        if self._warm:
            self._recent.append(response_ns)
        self._warm = True

    @property
    def expected_ns(self) -> int | None:
        """What the next one will hardly exceed, in [ns]; None before two were seen."""
        return max(self._recent, default=None)
