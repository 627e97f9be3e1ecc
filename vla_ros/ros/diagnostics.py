"""/diagnostics: how a node is, how often each of its streams comes and how old it is."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.duration import Duration

from vla_ros.ros.conversions.times import header

if TYPE_CHECKING:
    from vla_ros.ros.lifecycle import VlaNode

Level = Literal["ok", "warn", "error", "stale"]

_LEVELS: dict[Level, bytes] = {
    "ok": DiagnosticStatus.OK,
    "warn": DiagnosticStatus.WARN,
    "error": DiagnosticStatus.ERROR,
    "stale": DiagnosticStatus.STALE,
}
_PERIOD_S = 1.0
_WINDOW_NS = 3_000_000_000
_LAST_WORDS_S = 0.5
_LISTENER_POLL_S = 0.02


class Rate:
    """How often something happened lately, and how old its newest stamp was.

    Steady time in, so that a stream that ceases is seen to cease.
    """

    def __init__(self) -> None:
        self._times: deque[int] = deque()
        self.age_ns = 0
        self.count = 0

    def event(self, steady_ns: int, age_ns: int = 0) -> None:
        """One event: when, and the age of what came with it."""
        self._times.append(steady_ns)
        self.age_ns = age_ns
        self.count += 1

    def hz(self, steady_ns: int) -> float:
        """Events per second over the last seconds of steady time."""
        while self._times and self._times[0] < steady_ns - _WINDOW_NS:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) * 1e9 / max(steady_ns - self._times[0], 1)


class Diagnostics:
    """Publishes one status per node, once a second of steady time, and at once on a change.

    Make it in ``configure``.

    Args:
        node: Its name is the status's name.

    Attributes:
        values: Shown as key and value; numbers are rounded.
    """

    def __init__(self, node: VlaNode[Any]) -> None:
        self._node = node
        self._level: Level = "ok"
        self._words = "starting"
        self._rates: dict[str, Rate] = {}
        self.values: dict[str, str | int | float | bool] = {}
        self._publisher = node.publisher(DiagnosticArray, "/diagnostics", "diagnostics")
        node.every_steady(_PERIOD_S, self.publish)

    def set(self, level: Level, words: str) -> None:
        """What the node says about itself; published at once when the level changes."""
        changed = level != self._level
        self._level, self._words = level, words
        if changed:
            self.publish()

    def last_words(self, words: str) -> None:
        """Why the node gives up, to whoever listens; returns when they have it, or soon."""
        self._level, self._words = "error", words
        end_s = time.monotonic() + _LAST_WORDS_S
        while not self._publisher.get_subscription_count() and time.monotonic() < end_s:
            time.sleep(_LISTENER_POLL_S)  # a publisher that is new is not known to them yet
        self.publish()
        self._publisher.wait_for_all_acked(Duration(seconds=_LAST_WORDS_S))

    def event(self, stream: str, age_ns: int = 0) -> None:
        """Counts one message of a stream, for its rate and age."""
        self._rates.setdefault(stream, Rate()).event(self._node.clock.steady_ns(), age_ns)

    def publish(self) -> None:
        """Sends the status."""
        steady_ns = self._node.clock.steady_ns()
        values: dict[str, str | int | float | bool] = dict(self.values)
        for stream, rate in self._rates.items():
            values[f"{stream} [Hz]"] = rate.hz(steady_ns)
            values[f"{stream} age [s]"] = rate.age_ns * 1e-9
        status = DiagnosticStatus(
            level=_LEVELS[self._level],
            name=f"vla_ros: {self._node.get_name()}",
            message=self._words,
            hardware_id="",
            values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
        )
        self._publisher.publish(
            DiagnosticArray(header=header(self._node.clock.now_ns()), status=[status])
        )


def _text(value: str | int | float | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
