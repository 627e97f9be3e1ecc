"""The base of every node: a lifecycle node that frees what it made and says why it failed.

A node overrides ``configure``, ``activate``, ``deactivate`` and ``cleanup`` (all optional), and
makes its resources with the methods below: what is made in ``configure`` is destroyed on cleanup,
what is made in ``activate`` on deactivation, both on shutdown and on errors.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.service import Service
from rclpy.subscription import Subscription

from vla_ros.errors import VlaError
from vla_ros.ros import qos
from vla_ros.ros.clock import NodeClock
from vla_ros.ros.lockstep import Participant
from vla_ros.ros.parameters import NodeParameters, declare
from vla_ros.ros.priority import claim

P = TypeVar("P", bound=NodeParameters)
_LAST_WORDS = Duration(seconds=1.0)
"""For the last state and the end of a run to arrive, where somebody still listens."""


class VlaNode(LifecycleNode, Generic[P]):
    """A lifecycle node with described parameters, one clock and tracked resources.

    Args:
        name: Node name; the namespace is /vla unless remapped.
        parameters: Dataclass of its parameters.

    Attributes:
        parameters: Values of the parameters.
        clock: ROS time and steady time, lockstep included.
        steady_clock: rclpy's, for timers.
        active: Whether resources made now belong to the active state.
        failure: Why the last transition failed or the node gave up; empty otherwise.
        finished: Whether the process should end.
        leaving: Whether the process is about to end.
    """

    def __init__(self, name: str, parameters: type[P]) -> None:
        super().__init__(name, namespace="/vla")
        self.parameters: P = declare(self, parameters)
        self.clock = NodeClock(self, lockstep=self.parameters.lockstep)
        self.failure = ""
        self.finished = self.leaving = False
        self.steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._made: list[Callable[[], None]] = []
        self._made_active: list[Callable[[], None]] = []
        self._goodbyes: list[Callable[[], bool]] = []
        self.active = False
        self._participant: Participant | None = None

    # What a node overrides. Each may raise VlaError, whose text is logged and kept in `failure`.

    def configure(self) -> None:
        """Makes what lives from configure to cleanup."""

    def loaded(self) -> bool:
        """Whether autostart may activate yet; a node that loads in a thread says no meanwhile."""
        return True

    def activate(self) -> None:
        """Makes what lives while active; timers belong here."""

    def deactivate(self) -> None:
        """Before the resources made in ``activate`` are destroyed."""

    def cleanup(self) -> None:
        """Before the resources made in ``configure`` are destroyed."""

    # Resources.

    def publisher(
        self,
        message: type[Any],
        topic: str,
        role: qos.Role,
        *,
        counted: bool = False,
        lockstep: bool = False,
    ) -> Publisher:
        """A publisher with the role's profile.

        Args:
            message: Message type.
            topic: Relative to the namespace unless it starts with ``/`` or ``~``.
            role: See ``qos``.
            counted: In lockstep the simulator waits until each message has been received.
            lockstep: Take the lockstep profile without counting here (the simulator's own ends).
        """
        counted = counted and self.parameters.lockstep
        made = self.create_publisher(
            message, topic, qos.profile(role, lockstep=counted or lockstep)
        )
        self.on_release(lambda: self.destroy_publisher(made))
        if role in ("latched", "run"):
            # Released first: a process that ends takes with it what has not arrived yet.
            self.on_release(lambda: made.wait_for_all_acked(_LAST_WORDS))
        if counted:
            self._lockstep_participant().count_publisher(made)
        return made

    def subscription(
        self,
        message: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        role: qos.Role,
        *,
        counted: bool = False,
        lockstep: bool = False,
        raw: bool = False,
    ) -> Subscription:
        """A subscription with the role's profile; see ``publisher`` for the arguments.

        In lockstep the callback of a counted topic runs at the start of a tick, before periodic
        work, in the order in which the subscriptions were made.
        """
        counted = counted and self.parameters.lockstep
        if counted:
            name = self.resolve_topic_name(topic)
            callback = self._lockstep_participant().count_subscription(name, callback)
        profile = qos.profile(role, lockstep=counted or lockstep)
        made = self.create_subscription(message, topic, callback, profile, raw=raw)
        self.on_release(lambda: self.destroy_subscription(made))
        return made

    def sensor(
        self,
        message: type[Any],
        topic: str,
        callback: Callable[[Any], None],
        role: qos.Role,
    ) -> None:
        """A subscription to a driver's topic with the driver's own reliability.

        It is made as soon as somebody publishes; counted in lockstep.
        """
        if self.parameters.lockstep:
            self.subscription(message, topic, callback, role, counted=True)
            return
        made: list[Subscription] = []

        def look() -> None:
            profile = qos.match_publisher(self, topic, role)
            if profile is None or (made and made[0].qos_profile == profile):
                return
            if made:
                self.destroy_subscription(made.pop())
            made.append(self.create_subscription(message, topic, callback, profile))

        self.on_release(lambda: [self.destroy_subscription(item) for item in made] and None)
        self.every_steady(0.5, look)
        look()

    def service(
        self,
        kind: type[Any],
        name: str,
        callback: Callable[[Any, Any], Any],
        *,
        group: CallbackGroup | None = None,
    ) -> Service:
        """A service server; ``callback(request, response)`` returns the response."""
        made = self.create_service(kind, name, callback, callback_group=group)
        self.on_release(lambda: self.destroy_service(made))
        return made

    def every(self, period_ns: int, work: Callable[[], None]) -> None:
        """Periodic work on ROS time; in lockstep at the ticks, after the messages."""
        if self.parameters.lockstep:
            remove = self._lockstep_participant().every(period_ns, work)
            self.on_release(remove)
            return
        timer = self.create_timer(period_ns * 1e-9, work)
        self.on_release(lambda: self.destroy_timer(timer))

    def every_steady(self, period_s: float, work: Callable[[], None]) -> None:
        """Periodic work on steady time, for liveness: it goes on when ROS time stands still."""
        timer = self.create_timer(period_s, work, clock=self.steady_clock)
        self.on_release(lambda: self.destroy_timer(timer))

    def on_release(self, release: Callable[[], Any]) -> None:
        """Registers a resource of any kind: ``release`` is called when its state ends."""
        (self._made_active if self.active else self._made).append(release)

    def finish(self, failure: str = "") -> None:
        """Ends the process: cleanly, or with the words of a failure and a non-zero status."""
        self.finished = True
        if failure:
            self.failure = failure
            self.get_logger().error(failure)

    @property
    def why_inactive(self) -> str:
        """Why it does nothing any more, for those who asked it to do something."""
        return f"{self.get_name()} " + ("is shutting down" if self.leaving else "was deactivated")

    def before_leaving(self, done: Callable[[], bool]) -> None:
        """The process ends only once ``done()``, within a moment: it is called while it spins."""
        self._goodbyes.append(done)

    def leave(self) -> Callable[[], bool]:
        """Deactivates for good; returns what says whether everybody has been told."""
        self.leaving = True
        if not self.active:
            return lambda: True
        self.trigger_deactivate()
        return lambda: all(done() for done in self._goodbyes)

    def release_everything(self) -> None:
        """Destroys every resource; for the end of the process, whatever state the node is in."""
        self._free_all()

    # Transitions.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See ``configure``."""
        self.failure = ""
        problem = claim(self.parameters.realtime_priority)
        if problem:
            self.get_logger().warning(problem)
        return self._transition("configure", self.configure, undo=self._free_all)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See ``activate``."""

        def work() -> None:
            self.activate()
            if self._participant is not None:
                self._participant.start()

        self.active, self.failure = True, ""
        return self._transition("activate", work, undo=self._free_active)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See ``deactivate``."""
        result = self._transition("deactivate", self.deactivate)
        self._free_active()
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See ``cleanup``."""
        result = self._transition("clean up", self.cleanup)
        self._free_all()
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivates and cleans up, from whatever state."""
        if self.active:
            self.on_deactivate(state)
        return self.on_cleanup(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything; the node is unconfigured afterwards."""
        self._free_all()
        return TransitionCallbackReturn.SUCCESS

    def _transition(
        self, what: str, work: Callable[[], None], undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        # rclpy drops exceptions of transitions without a word.
        try:
            work()
        except Exception as error:
            self.failure = f"{self.get_name()} could not {what}: {error}"
            self.get_logger().error(self.failure)
            if not isinstance(error, VlaError):
                self.get_logger().error(f"a bug in the node:\n{traceback.format_exc()}")
            if undo is not None:
                undo()
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _free_active(self) -> None:
        self.active = False
        _free(self._made_active)

    def _free_all(self) -> None:
        self._free_active()
        _free(self._made)
        self._participant = None

    def _lockstep_participant(self) -> Participant:
        if self._participant is None:
            self._participant = Participant(self, self.clock)
            self._made.append(self._participant.destroy)
        return self._participant


def _free(made: list[Callable[[], None]]) -> None:
    while made:
        made.pop()()
