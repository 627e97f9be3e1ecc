"""What time it is for a node, and whether ROS time jumped."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

from vla_ros.ros.awake import AwakeTime
from vla_ros.ros.jumps import JumpDetector

SAME_INSTANT_NS = 20_000_000
"""Two clocks read within this time are read at one instant."""


class NodeClock:
    """ROS time (or the simulator's ticks, in lockstep) and steady time, in integer nanoseconds.

    Args:
        node: Its clock is read in real time, simulated or not.
        lockstep: Whether only ``set_ns`` moves time.

    Attributes:
        on_jump: Called with the size of a jump [ns], signed, from within ``now_ns``: time went
            backwards, or ahead of steady time. Never in lockstep.
    """

    def __init__(self, node: Node, *, lockstep: bool) -> None:
        self._node = node
        self._lockstep = lockstep
        self._tick_ns = 0
        self._jumps = JumpDetector()
        self._awake = AwakeTime()
        self.on_jump: Callable[[int], None] | None = None

    def now_ns(self) -> int:
        """ROS time: system time, /clock with ``use_sim_time``, or the tick being worked on."""
        if self._lockstep:
            return self._tick_ns
        now_ns, steady_ns = self._both()
        jump_ns = self._jumps.observe(now_ns, steady_ns)
        if jump_ns and self.on_jump is not None:
            self.on_jump(jump_ns)
        return now_ns

    def _both(self) -> tuple[int, int]:
        """Both clocks at one instant: read again where this process was held up in between."""
        while True:
            before_ns = self.steady_ns()
            now_ns = int(self._node.get_clock().now().nanoseconds)
            steady_ns = self.steady_ns()
            if steady_ns - before_ns < SAME_INSTANT_NS:
                return now_ns, steady_ns

    def steady_ns(self) -> int:
        """Steady time."""
        return time.monotonic_ns()

    def alive_ns(self) -> int:
        """The time in which silence is measured: steady time, but ticks in lockstep.

        Nobody is late there; the barrier has its own patience, and names who is silent.
        """
        return self._tick_ns if self._lockstep else self.steady_ns()

    def awake_ns(self) -> int:
        """The same without this process's own pauses; see `AwakeTime`."""
        return self._tick_ns if self._lockstep else self._awake.at(self.steady_ns())

    def set_ns(self, t_ns: int) -> None:
        """Moves lockstep time; called by the participant at each tick."""
        self._tick_ns = t_ns
