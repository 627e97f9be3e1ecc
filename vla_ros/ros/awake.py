"""The time in which this process ran: its own pauses say nothing about anybody else."""

from __future__ import annotations

PAUSE_NS = 200_000_000
"""More than this between two looks at the clock is this process's own pause."""


class AwakeTime:
    """Steady time without this process's own pauses.

    What came meanwhile is still to be read when a process goes on after a pause (overload, a
    debugger, SIGSTOP); on steady time it would take everybody for dead. Look at least every
    `PAUSE_NS`: a longer step counts for that much.
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._awake_ns = 0

    def at(self, steady_ns: int) -> int:
        """Awake time at an instant of steady time, in [ns] both; instants do not go back."""
        last_ns = steady_ns if self._last_ns is None else self._last_ns
        self._awake_ns += min(steady_ns - last_ns, PAUSE_NS)
        self._last_ns = steady_ns
        return self._awake_ns
