"""Periodic work at the simulator's ticks, and the simulator's own pace in real time."""

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


class SteadyPace:
    """How far simulated time should be: it follows steady time, and gives up what it cannot reach.

    Args:
        steady_ns: Steady time now.
        sim_ns: Simulated time now.
        most_behind_ns: A stall of this length is caught up; beyond it simulated time falls behind.

    Attributes:
        lost_ns: How far simulated time fell behind so far.
    """

    def __init__(self, steady_ns: int, sim_ns: int, most_behind_ns: int) -> None:
        self._origin_ns = sim_ns - steady_ns
        self._most_behind_ns = most_behind_ns
        self._mark = (steady_ns, sim_ns)
        self.lost_ns = 0

    def due_ns(self, steady_ns: int, sim_ns: int) -> int:
        """Simulated time that should be reached now."""
        due_ns = steady_ns + self._origin_ns - self.lost_ns
        late_ns = due_ns - sim_ns - self._most_behind_ns
        if late_ns > 0:
            self.lost_ns += late_ns
            due_ns -= late_ns
        return due_ns

    def factor(self, steady_ns: int, sim_ns: int) -> float:
        """Real-time factor since the call before."""
        before, self._mark = self._mark, (steady_ns, sim_ns)
        return (sim_ns - before[1]) / max(steady_ns - before[0], 1)
