"""rclpy's single-threaded executor without its cost per message.

rclpy builds a new wait set, with one Python object for every service and QoS event of the node, for
each wait, and wakes itself twice after each callback: more than half of the CPU time of a node that
handles some hundred small messages per second. Here the wait set is kept until an entity is made or
destroyed, ready subscriptions and timers are called directly, and QoS events (the warnings about
incompatible profiles) are looked at once a second.

One message of each subscription per turn, in the order in which they were made: /clock comes first,
so what is handled after it is not from the future.

Semantics are those of the class it derives from, which also does the rare work: services, clients,
actions, and everything while one of their coroutines is suspended.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

from rclpy.event_handler import EventHandler
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.subscription import Subscription
from rclpy.waitable import NumberOfEntities

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.timer import Timer

InvalidHandle = _rclpy.InvalidHandle
_EVENTS_PERIOD_S = 1.0


class LeanExecutor(SingleThreadedExecutor):
    """For one process with few nodes; callbacks run one at a time, in this thread."""

    _tasks: list[Any]

    def __init__(self) -> None:
        self._stale = True
        super().__init__()
        self._wait_set: Any = None
        self._subscriptions: dict[int, Subscription] = {}
        self._timers: dict[int, Timer] = {}
        self._others: dict[str, dict[int, tuple[Any, Node]]] = {}
        self._waitables: list[tuple[Any, Node]] = []
        self._events: list[tuple[Any, Node]] = []
        self._events_at_s = 0.0

    def wake(self) -> None:
        """Entities changed, or somebody wants attention."""
        self._stale = True
        super().wake()

    def add_node(self, node: Node) -> bool:
        """See the base class."""
        self._stale = True
        return bool(super().add_node(node))

    def remove_node(self, node: Node) -> None:
        """See the base class."""
        self._stale = True
        super().remove_node(node)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Waits once and does everything that is ready then."""
        if self._run_tasks():
            timeout_sec = 0.0  # others may have waited for the one that ended
        if any(entity is not None for _, entity, _ in self._tasks):
            # A callback is suspended, and its group admits no other: the base class minds that.
            super().spin_once(timeout_sec)
            return
        if self._stale:
            self._gather()
        now_s = time.monotonic()
        with_events = now_s >= self._events_at_s
        if with_events:
            self._events_at_s = now_s + _EVENTS_PERIOD_S
        waitables = self._waitables + self._events if with_events else self._waitables
        try:
            self._fill(waitables)
        except InvalidHandle:  # destroyed from another thread in this moment
            self._stale = True
            return
        self._wait_set.wait(-1 if timeout_sec is None else int(timeout_sec * 1e9))
        if self._is_shutdown:
            raise ShutdownException
        if not self._context.ok():
            raise ExternalShutdownException
        self._dispatch(waitables)

    def _run_tasks(self) -> bool:
        """Goes on with coroutines; whether one ended."""
        with self._tasks_lock:
            tasks = list(self._tasks)
        for task, entity, _ in tasks:
            if entity is None and not task.executing() and not task.done():
                task()
                if task.done() and task.exception() is not None:
                    raise task.exception()
        with self._tasks_lock:
            before = len(self._tasks)
            self._tasks = [t for t in self._tasks if not t[0].done() and not t[0].cancelled()]
            return len(self._tasks) < before

    def _gather(self) -> None:
        self._stale = False
        nodes = self.get_nodes()
        self._subscriptions = {s.handle.pointer: s for n in nodes for s in n.subscriptions}
        self._timers = {t.handle.pointer: t for n in nodes for t in n.timers}
        self._others = {
            "guard_condition": {g.handle.pointer: (g, n) for n in nodes for g in n.guards},
            "client": {c.handle.pointer: (c, n) for n in nodes for c in n.clients},
            "service": {s.handle.pointer: (s, n) for n in nodes for s in n.services},
        }
        waitables = [(w, n) for n in nodes for w in n.waitables]
        self._events = [item for item in waitables if isinstance(item[0], EventHandler)]
        self._waitables = [item for item in waitables if not isinstance(item[0], EventHandler)]
        count = NumberOfEntities()
        for waitable, _ in waitables:
            count += waitable.get_num_entities()
        self._wait_set = _rclpy.WaitSet(
            count.num_subscriptions + len(self._subscriptions),
            count.num_guard_conditions + len(self._others["guard_condition"]) + 2,
            count.num_timers + len(self._timers),
            count.num_clients + len(self._others["client"]),
            count.num_services + len(self._others["service"]),
            count.num_events,
            self._context.handle,
        )

    def _fill(self, waitables: list[tuple[Any, Node]]) -> None:
        wait_set = self._wait_set
        wait_set.clear_entities()
        for subscription in self._subscriptions.values():
            wait_set.add_subscription(subscription.handle)
        for timer in self._timers.values():
            wait_set.add_timer(timer.handle)
        for guard, _ in self._others["guard_condition"].values():
            wait_set.add_guard_condition(guard.handle)
        for client, _ in self._others["client"].values():
            wait_set.add_client(client.handle)
        for service, _ in self._others["service"].values():
            wait_set.add_service(service.handle)
        wait_set.add_guard_condition(self._guard.handle)
        wait_set.add_guard_condition(self._sigint_gc.handle)
        for waitable, _ in waitables:
            waitable.add_to_wait_set(wait_set)

    def _dispatch(self, waitables: list[tuple[Any, Node]]) -> None:
        ready = self._wait_set.get_ready_entities
        subscriptions, timers = ready("subscription"), ready("timer")
        others = [
            (kind, self._others[kind][pointer])
            for kind in ("guard_condition", "client", "service")
            for pointer in ready(kind)
            if pointer in self._others[kind]
        ]
        woken = [item for item in waitables if item[0].is_ready(self._wait_set)]
        known_timers, known_subscriptions = self._timers, self._subscriptions
        for pointer in timers:
            if pointer in known_timers:
                self._call_timer(known_timers[pointer])
        for pointer in subscriptions:
            if pointer in known_subscriptions:
                self._take(known_subscriptions[pointer])
        for kind, (entity, node) in others:
            take = {
                "guard_condition": self._take_guard_condition,
                "client": self._take_client,
                "service": self._take_service,
            }[kind]
            self._run(entity, node, take)
        for waitable, node in woken:
            self._run(waitable, node, self._take_waitable)

    def _call_timer(self, timer: Timer) -> None:
        try:
            if not timer.handle.is_timer_ready():
                return
            timer.handle.call_timer()
        except InvalidHandle:
            return
        self._call(timer.callback)

    def _take(self, subscription: Subscription) -> None:
        try:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        except InvalidHandle:
            return
        if taken is None:
            return
        whole = subscription._callback_type is not Subscription.CallbackType.MessageOnly
        self._call(subscription.callback, *(taken if whole else taken[:1]))

    def _call(self, callback: Any, *arguments: Any) -> None:
        if callback is None:
            return
        if inspect.iscoroutinefunction(callback):
            self.create_task(callback, *arguments)
        else:
            callback(*arguments)

    def _run(self, entity: Any, node: Node, take: Any) -> None:
        task = self._make_handler(entity, node, take)
        task()
        if task.done() and task.exception() is not None:
            raise task.exception()
