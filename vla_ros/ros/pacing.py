"""Periodic work that follows ROS time in real time and the simulator's ticks in lockstep."""

from __future__ import annotations

from collections.abc import Callable


class Periodic:
    """Work that is due at every multiple of a period, for lockstep.

    Args:
        period_ns: Between two calls, in [ns].
        work: Called without arguments.
    """

    def __init__(self, period_ns: int, work: Callable[[], None]) -> None:
        self._period_ns = period_ns
        self._next_ns = 0
        self._work = work

    def run(self, now_ns: int) -> None:
        """Does the work if an instant at which it is due has come; several count as one."""
        if now_ns >= self._next_ns:
            self._next_ns = (now_ns // self._period_ns + 1) * self._period_ns
            self._work()
