"""How far the server's clock is from ours, from the four stamps of a round trip.

Mills, "Internet time synchronization: the Network Time Protocol", IEEE Trans. Comm. 39(10), 1991:
the offset of the quickest round trip is the best one, and is wrong by at most half that trip.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

KEEP = 16
SAME_CLOCK_S = 0.01
"""Clocks so close are one; NTP keeps hosts of one network within some ms."""

OFFSET, ROUND_TRIP = "policy server clock offset [s]", "policy server round trip [s]"
"""What the two are called in a policy's status."""


@dataclass(frozen=True, kw_only=True)
class ClockSample:
    """One round trip.

    Attributes:
        offset_ns: The server's clock minus ours, in [ns].
        round_trip_ns: On the network, the server's own time taken off, in [ns].
    """

    offset_ns: int
    round_trip_ns: int

    @classmethod
    def from_stamps(
        cls, *, asked_ns: int, received_ns: int, sent_ns: int, answered_ns: int
    ) -> ClockSample:
        """Ask and answer by our clock, receipt and dispatch by the server's. All in [ns]."""
        return cls(
            offset_ns=((received_ns - asked_ns) + (sent_ns - answered_ns)) // 2,
            round_trip_ns=(answered_ns - asked_ns) - (sent_ns - received_ns),
        )


def clock_problem(offset_s: float, round_trip_s: float) -> str | None:
    """What is wrong with the clock of a policy's host, in words, or None.

    Args:
        offset_s: Its clock minus ours.
        round_trip_s: Of the trip that told; the offset is wrong by at most half of it.
    """
    unsure_s = 0.5 * round_trip_s
    if abs(offset_s) - unsure_s <= SAME_CLOCK_S:
        return None
    where = "ahead of" if offset_s > 0 else "behind"
    return (
        f"the policy server's clock is {abs(offset_s):.3f} s {where} ours (± {unsure_s:.3f} s), so "
        "its logs cannot be laid beside ours: let chrony keep the clocks of both hosts"
    )


class ClockCheck:
    """The last round trips."""

    def __init__(self) -> None:
        self._samples: deque[ClockSample] = deque(maxlen=KEEP)

    def add(self, sample: ClockSample) -> None:
        """One more; impossible ones, made by a clock that was set meanwhile, are left out."""
        if sample.round_trip_ns >= 0:
            self._samples.append(sample)

    @property
    def best(self) -> ClockSample | None:
        """The quickest of the last round trips."""
        return min(tuple(self._samples), key=lambda s: s.round_trip_ns, default=None)
