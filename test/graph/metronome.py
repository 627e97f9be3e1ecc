"""The simulator's end of lockstep in the hands of a test: load does not decide what is sent when.

A test puts messages on the counted topics of one instant and lets the nodes work it off; they see
exactly those messages at exactly that time, on a machine as busy as it may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

from rclpy.clock import Clock, ClockType
from stage import Stage

from vla_ros.ros import qos
from vla_ros.ros.barrier import SIMULATOR
from vla_ros.ros.lockstep_host import LockstepHost

PATIENCE_NS = 60_000_000_000

Sent = Iterable[tuple[str, Any]]
"""Topic and message, in the order of sending."""


class Metronome:
    """Gives ticks to nodes that run with ``lockstep``.

    Args:
        stage: Has the nodes.
        nodes: Their names.
        topics: What is published to them: topic -> message type and role.
    """

    def __init__(
        self, stage: Stage, nodes: list[str], topics: dict[str, tuple[type[Any], qos.Role]]
    ) -> None:
        self._stage = stage
        self._node = stage.node
        self.clock = SimpleNamespace(steady_ns=time.monotonic_ns)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._free = False
        self._host = LockstepHost(
            cast(Any, self), nodes, self._be_free, patience_ns=PATIENCE_NS, start_ns=PATIENCE_NS
        )
        self._send = {
            topic: self._host.publisher(kind, topic, role) for topic, (kind, role) in topics.items()
        }

    def hear(self, kind: type[Any], topic: str, take: Callable[[Any], None]) -> None:
        """Time waits until each message of a node's counted topic has been taken."""
        self._host.subscription(kind, topic, take, "observation")

    def start(self) -> None:
        """Waits for the nodes' hellos."""
        self._host.start()
        self._stage.wait(lambda: self._free, "the nodes' hellos")

    def tick(self, t_ns: int, messages: Sent) -> None:
        """Sends what is due and waits until everything it causes is done."""
        self._free = False
        for topic, message in messages:
            self._send[topic](message)
        self._host.tick(t_ns)
        self._stage.wait(lambda: self._free, f"the work of {t_ns * 1e-9:.3f} s")

    def _be_free(self) -> None:
        self._free = True

    # What the host asks of its node.

    def get_name(self) -> str:
        """The host is the simulator."""
        return SIMULATOR

    def resolve_topic_name(self, topic: str) -> str:
        """In the namespace of the stage, /vla."""
        return str(self._node.resolve_topic_name(topic))

    def publisher(
        self, message: type[Any], topic: str, role: qos.Role, *, lockstep: bool = False
    ) -> Any:
        """With the role's profile."""
        return self._node.create_publisher(message, topic, qos.profile(role, lockstep=True))

    def subscription(
        self,
        message: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        role: qos.Role,
        *,
        lockstep: bool = False,
    ) -> None:
        """With the role's profile."""
        self._node.create_subscription(message, topic, callback, qos.profile(role, lockstep=True))

    def every_steady(self, period_s: float, work: Callable[[], None]) -> None:
        """Looks after patience."""
        self._node.create_timer(period_s, work, clock=self._steady)
