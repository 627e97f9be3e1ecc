"""Lockstep on topics: nodes take ticks and report, the simulator counts and advances.

``lockstep`` carries the nodes' reports, ``lockstep_tick`` the simulator's ticks: a Lockstep message
whose ``sent_*`` are the simulator's data up to the tick and whose ``received_*`` are the other
topics' totals before it. The rule and its proof are in ``barrier``.

A node may block inside a tick (a policy waiting for its inference thread): it has not reported, so
time stands still.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from vla_ros_msgs.msg import Lockstep

from vla_ros.ros import qos
from vla_ros.ros.barrier import Inbox, Report, Tick
from vla_ros.ros.clock import NodeClock
from vla_ros.ros.conversions.times import ns_from, time_msg
from vla_ros.ros.pacing import Periodic

REPORTS = "lockstep"
TICKS = "lockstep_tick"


class Participant:
    """A node's part in lockstep. ``VlaNode`` makes one where parameter `lockstep` is set.

    Args:
        node: Reports under its name.
        clock: Set to the tick's time before any callback.
    """

    def __init__(self, node: Node, clock: NodeClock) -> None:
        self._node = node
        self._clock = clock
        self._inbox = Inbox(node.get_name())
        self._callbacks: dict[str, Callable[[Any], None]] = {}
        self._periodic: list[Periodic] = []
        self._running = False
        profile = qos.profile("lockstep", lockstep=True)
        self._reports = node.create_publisher(Lockstep, REPORTS, profile)
        self._ticks = node.create_subscription(Lockstep, TICKS, self._on_tick, profile)

    def count_publisher(self, publisher: Publisher) -> None:
        """Counts what the publisher sends, from now on."""
        topic = publisher.topic_name
        self._inbox.sends(topic)
        send = publisher.publish

        def publish(message: Any) -> None:
            self._inbox.sent(topic)
            send(message)
            if self._running and not self._inbox.working:
                self._report()

        publisher.publish = publish

    def count_subscription(
        self, topic: str, callback: Callable[[Any], None]
    ) -> Callable[[Any], None]:
        """The callback to subscribe with: it counts, and keeps messages until their tick."""
        self._inbox.receives(topic)
        self._callbacks[topic] = callback

        def receive(message: Any) -> None:
            if self._inbox.arrived(topic, message) and self._running:
                self._report()
            self._work_if_due()

        return receive

    def every(self, period_ns: int, work: Callable[[], None]) -> Callable[[], None]:
        """Periodic work at the ticks; returns what removes it."""
        periodic = Periodic(period_ns, work)
        self._periodic.append(periodic)
        return lambda: self._periodic.remove(periodic)

    def start(self) -> None:
        """Says hello: everything counted is set up."""
        self._running = True
        self._report()

    def destroy(self) -> None:
        """Leaves."""
        self._running = False
        self._node.destroy_publisher(self._reports)
        self._node.destroy_subscription(self._ticks)

    def _on_tick(self, message: Lockstep) -> None:
        self._inbox.announce(tick_from(message))
        self._work_if_due()

    def _work_if_due(self) -> None:
        if not self._running or not self._inbox.due():
            return
        t_ns, messages = self._inbox.take()
        self._clock.set_ns(t_ns)
        for topic, message in messages:
            self._callbacks[topic](message)
        for periodic in tuple(self._periodic):
            periodic.run(t_ns)
        self._inbox.finish()
        self._report()

    def _report(self) -> None:
        self._reports.publish(report_msg(self._inbox.report()))


def report_msg(report: Report) -> Lockstep:
    """Report -> message."""
    return Lockstep(
        node=report.node,
        done_until=time_msg(report.done_until_ns),
        sent_topics=list(report.sent),
        sent=list(report.sent.values()),
        received_topics=list(report.received),
        received=list(report.received.values()),
    )


def report_from(message: Lockstep) -> Report:
    """Message -> report."""
    return Report(
        node=message.node,
        done_until_ns=ns_from(message.done_until),
        sent=dict(zip(message.sent_topics, message.sent, strict=True)),
        received=dict(zip(message.received_topics, message.received, strict=True)),
    )


def tick_msg(node: str, tick: Tick) -> Lockstep:
    """Tick -> message."""
    return report_msg(
        Report(node=node, done_until_ns=tick.t_ns, sent=tick.data, received=tick.others)
    )


def tick_from(message: Lockstep) -> Tick:
    """Message -> tick."""
    report = report_from(message)
    return Tick(t_ns=report.done_until_ns, data=report.sent, others=report.received)
