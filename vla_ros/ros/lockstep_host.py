"""The simulator's end of lockstep: gives ticks, hears reports, and says when time may advance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rclpy.publisher import Publisher
from vla_ros_msgs.msg import Lockstep

from vla_ros.ros.barrier import Barrier, Inbox, LockstepError, Tick
from vla_ros.ros.lockstep import REPORTS, TICKS, report_from, tick_msg

if TYPE_CHECKING:
    from vla_ros.ros.lifecycle import VlaNode


class LockstepHost:
    """Owned by the simulator's node; make it in ``configure``.

    Args:
        node: The simulator.
        nodes: Names of the nodes that time waits for.
        advance: Called when the next tick may come; must end in ``tick``.
        patience_ns: Steady time without any progress after which the run fails.
        start_ns: Likewise, for every node to come up; loading a policy takes long.
    """

    def __init__(
        self,
        node: VlaNode[Any],
        nodes: Sequence[str],
        advance: Callable[[], None],
        patience_ns: int,
        start_ns: int,
    ) -> None:
        self._node = node
        self._barrier = Barrier(nodes)
        self._counts = Inbox(node.get_name())
        self._advance = advance
        self._patience_ns = patience_ns
        self._start_ns = start_ns
        self._t_ns = 0
        self._progress_ns = 0
        self._ticks = node.publisher(Lockstep, TICKS, "lockstep")
        node.subscription(Lockstep, REPORTS, self._on_report, "lockstep")

    def publisher(self, message: type[Any], topic: str, role: Any) -> Callable[[Any], None]:
        """What publishes the simulator's data on a counted topic."""
        made: Publisher = self._node.publisher(message, topic, role, lockstep=True)
        name = made.topic_name
        self._counts.sends(name)

        def publish(value: Any) -> None:
            self._counts.sent(name)
            made.publish(value)

        return publish

    def subscription(
        self, message: type[Any], topic: str, callback: Callable[[Any], None], role: Any
    ) -> None:
        """A counted command; it is handled on arrival, before time advances."""
        name = self._node.resolve_topic_name(topic)
        self._counts.receives(name)

        def receive(value: Any) -> None:
            callback(value)
            self._counts.count(name)
            self._go_on()

        self._node.subscription(message, topic, receive, role, lockstep=True)

    def start(self) -> None:
        """From now on time advances as soon as every node has said hello."""
        self._progress_ns = self._node.clock.steady_ns()
        self._node.every_steady(1.0, self._check)
        self._go_on()

    def tick(self, t_ns: int) -> None:
        """All data of ``t_ns`` is published: let the nodes work."""
        self._t_ns = t_ns
        self._progress_ns = self._node.clock.steady_ns()
        data = dict(self._counts.report().sent)
        others = {
            topic: count for topic, count in self._barrier.totals().items() if topic not in data
        }
        tick = Tick(t_ns=t_ns, data=data, others=others)
        self._ticks.publish(tick_msg(self._node.get_name(), tick))

    def _on_report(self, message: Lockstep) -> None:
        self._barrier.report(report_from(message))
        self._go_on()

    def _go_on(self) -> None:
        self._counts.done_until_ns = self._t_ns
        self._barrier.report(self._counts.report())
        if self._progress_ns and self._barrier.may_advance(self._t_ns):
            self._advance()

    def _check(self) -> None:
        waited_ns = self._node.clock.steady_ns() - self._progress_ns
        if waited_ns > (self._patience_ns if self._t_ns else self._start_ns):
            raise LockstepError(
                f"lockstep made no progress for {waited_ns * 1e-9:.0f} s at "
                f"{self._t_ns * 1e-9:.3f} s of simulated time; waiting for: "
                + "; ".join(self._barrier.waiting_for(self._t_ns))
                + ". Look at the log of the node named first"
            )
