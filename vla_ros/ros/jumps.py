"""Clock jumps: ROS time that goes backwards, or leaps ahead of steady time."""

from __future__ import annotations

from vla_ros.ros.awake import PAUSE_NS

AHEAD_NS = 500_000_000
"""ROS time may run this far ahead of steady time between two looks."""


class JumpDetector:
    """Compares successive readings of ROS time and steady time.

    Simulated time may be slower than steady time, or stand still; it may not run away from it. But
    a process that did not run for a while may hear what it missed of /clock in any number of steps.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._missed_ns = 0

    def observe(self, now_ns: int, steady_ns: int) -> int:
        """Takes one reading of both clocks.

        Returns:
            Size of the jump [ns], signed; 0 without one. The first non-zero reading of simulated
            time is no jump.
        """
        last, self._last = self._last, (now_ns, steady_ns)
        if last is None or last[0] == 0:
            return 0
        step_ns, steady_step_ns = now_ns - last[0], steady_ns - last[1]
        if step_ns < 0:
            return step_ns
        ahead_ns = step_ns - steady_step_ns - self._missed_ns
        awake_ns = min(steady_step_ns, PAUSE_NS)  # what is missed for long will not come any more
        self._missed_ns = max(0, -ahead_ns - awake_ns)
        return ahead_ns if ahead_ns > AHEAD_NS else 0
