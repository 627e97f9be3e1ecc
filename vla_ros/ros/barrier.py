"""The counting core of lockstep: when may simulated time advance, and what does a node see when?

The simulator publishes the data of time t, then a tick (t and the totals of every counted topic).
A node handles a tick once every message that the totals name has arrived; messages of the other
nodes are shown to it only from the tick after the one they were sent in. So what a node sees at t
does not depend on which process was faster, and two runs with one seed are equal.

    sim   -- data(t), tick(t) -->  nodes work, send, report ----------------> all equal -- tick(t+1)
    node A:   [data(t)] [messages sent at t-1] [periodic work due at t] report(done t, counts)

The simulator may advance when every node reported ``done >= t`` and, for each counted topic, every
receiver has received what was sent. That is safe: take the first event after the reports at hand.
It cannot be a tick (none was given) and cannot be a reception, because that message would have been
sent before its sender's report (then the counts differ) or after it (then it was not the first).

No ROS, no clock: ``ros/lockstep.py`` wires this to topics.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vla_ros.errors import VlaError

SIMULATOR = "sim_robot"


class LockstepError(VlaError):
    """The run cannot go on: somebody does not report, or messages were lost."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One node's consistent snapshot: everything received was handled and its results counted.

    Attributes:
        node: Name of the node.
        done_until_ns: Last tick whose work is done; 0 says hello before the first.
        sent: Counted topic -> messages sent since the start.
        received: Counted topic -> messages received since the start.
    """

    node: str
    done_until_ns: int
    sent: Mapping[str, int]
    received: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Tick:
    """Permission to do the work of one instant.

    Attributes:
        t_ns: The instant.
        data: Topics of the simulator -> messages sent up to and including ``t_ns``.
        others: Topics of the nodes -> messages sent before ``t_ns``.
    """

    t_ns: int
    data: Mapping[str, int]
    others: Mapping[str, int]


class Barrier:
    """The simulator's side: counts reports and says whether time may advance.

    Args:
        nodes: Names that must report. The simulator's own report is given like the others.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        self._reports: dict[str, Report | None] = dict.fromkeys(sorted({*nodes, SIMULATOR}))

    def report(self, report: Report) -> None:
        """Replaces the node's snapshot; a report of a node that nobody waits for is ignored."""
        if report.node in self._reports:
            self._reports[report.node] = report

    def may_advance(self, t_ns: int) -> bool:
        """Whether all work of ``t_ns`` and all it caused is done; 0 asks for the hellos."""
        reports = self._all(t_ns)
        if reports is None:
            return False
        sent = _totals(reports)
        return all(
            sent.get(topic, 0) == count
            for report in reports
            for topic, count in report.received.items()
        )

    def totals(self) -> dict[str, int]:
        """Messages sent on each counted topic, by the reports at hand."""
        return _totals([report for report in self._reports.values() if report is not None])

    def waiting_for(self, t_ns: int) -> tuple[str, ...]:
        """Words for what keeps time from advancing, one for each node or topic."""
        words = [
            f"{name} never reported"
            if report is None
            else f"{name} is at {report.done_until_ns * 1e-9:.3f} s of {t_ns * 1e-9:.3f} s"
            for name, report in self._reports.items()
            if report is None or report.done_until_ns < t_ns
        ]
        sent = self.totals()
        for name, report in self._reports.items():
            for topic, count in report.received.items() if report is not None else ():
                if count != sent.get(topic, 0):
                    words.append(f"{name} received {count} of {sent.get(topic, 0)} on {topic}")
        return tuple(words)

    def _all(self, t_ns: int) -> list[Report] | None:
        reports = []
        for report in self._reports.values():
            if report is None or report.done_until_ns < t_ns:
                return None
            reports.append(report)
        return reports


def _totals(reports: Sequence[Report]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for report in reports:
        for topic, count in report.sent.items():
            totals[topic] = totals.get(topic, 0) + count
    return totals


@dataclass(eq=False)
class _Line:
    """One counted topic as a receiver sees it."""

    received: int = 0
    shown: int = 0
    waiting: deque[Any] = field(default_factory=deque)


class Inbox:
    """A node's side: counts, and holds messages until the tick at which they may be seen."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._lines: dict[str, _Line] = {}
        self._sent: dict[str, int] = {}
        self._tick: Tick | None = None
        self._data_topics: frozenset[str] = frozenset()
        self.done_until_ns = 0

    def sends(self, topic: str) -> None:
        """Declares a counted topic that this node publishes."""
        self._sent.setdefault(topic, 0)

    def receives(self, topic: str) -> None:
        """Declares a counted topic that this node subscribes to."""
        self._lines.setdefault(topic, _Line())

    def sent(self, topic: str) -> None:
        """Counts a message that was published."""
        self._sent[topic] += 1

    def arrived(self, topic: str, message: Any) -> bool:
        """Takes a message.

        Returns:
            Whether the barrier must hear of it by a report of its own: not for the simulator's
            data, because a tick always follows it.
        """
        line = self._lines[topic]
        line.received += 1
        line.waiting.append(message)
        return self._tick is None and topic not in self._data_topics

    def count(self, topic: str) -> None:
        """Counts a message that was handled on arrival: the simulator's commands."""
        self._lines[topic].received += 1

    def announce(self, tick: Tick) -> None:
        """Takes a tick; it is handled once ``due``.

        Raises:
            LockstepError: The tick before is not done yet, or time goes backwards.
        """
        if self._tick is not None or tick.t_ns <= self.done_until_ns:
            raise LockstepError(
                f"{self._node} got the tick of {tick.t_ns} ns after that of "
                f"{self._tick.t_ns if self._tick else self.done_until_ns} ns; the simulator was "
                "restarted or a second one runs in this ROS domain. Restart the graph"
            )
        self._tick = tick
        self._data_topics = frozenset(tick.data)

    def due(self) -> bool:
        """Whether a tick is announced and every message that belongs to it has arrived."""
        return self._tick is not None and all(
            line.received >= self._total(topic) for topic, line in self._lines.items()
        )

    def take(self) -> tuple[int, list[tuple[str, Any]]]:
        """The tick's time and the messages to handle first, by topic as declared, then in order."""
        assert self._tick is not None
        messages: list[tuple[str, Any]] = []
        for topic, line in self._lines.items():
            while line.shown < self._total(topic):
                messages.append((topic, line.waiting.popleft()))
                line.shown += 1
        return self._tick.t_ns, messages

    def finish(self) -> None:
        """The work of the tick is done."""
        assert self._tick is not None
        self.done_until_ns, self._tick = self._tick.t_ns, None

    @property
    def working(self) -> bool:
        """Whether a tick is announced and not finished."""
        return self._tick is not None

    def report(self) -> Report:
        """The snapshot to publish."""
        return Report(
            node=self._node,
            done_until_ns=self.done_until_ns,
            sent=dict(self._sent),
            received={topic: line.received for topic, line in self._lines.items()},
        )

    def _total(self, topic: str) -> int:
        tick = self._tick
        assert tick is not None
        return tick.data.get(topic, tick.others.get(topic, 0))
