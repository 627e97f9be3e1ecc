"""The pure half of the `run_policy` action: which goal runs, when it may start, and why it ends.

One run at a time. A goal waits until the policy is loaded, the bridge has been heard and there are
observations; it is then refused with a reason, or runs until it is cancelled, taken over, out of
time, stopped by the bridge or failed by the policy. Time is an argument: ROS time for limits,
steady time for "is anybody alive". What happened comes out of `events`, in order.
"""

from __future__ import annotations

from dataclasses import dataclass

from vla_ros.policy.runner import PolicyFault, PolicyRunner, RunStats
from vla_ros.policy.runs import BridgeView, RunEnded, RunGoal, RunOutcome, RunStarted


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long the desk waits. Steady time, but for `run_ns`, which is ROS time; all in [ns].

    Attributes:
        load_ns: For the policy to load, once a goal is there.
        meet_ns: For the bridge's first status and the goal's first listener: nodes that have
            just been started take seconds to discover each other.
        bridge_ns: For the bridge's next status.
        first_ns: For the first observation, before a goal starts.
        observation_ns: For the next observation.
        client_ns: For somebody to listen to the goal's feedback again.
        run_ns: Time limit of a goal that names none.
    """

    load_ns: int = 120_000_000_000
    meet_ns: int = 10_000_000_000
    bridge_ns: int = 2_000_000_000
    first_ns: int = 30_000_000_000
    observation_ns: int = 5_000_000_000
    client_ns: int = 3_000_000_000
    run_ns: int = 60_000_000_000


@dataclass(kw_only=True)
class _Current:
    goal: RunGoal
    asked_ns: int
    waiting_since_ns: int  # steady
    epoch: int | None = None  # None: still waiting to start
    started_ns: int = 0
    heard: bool = False  # somebody has listened to its feedback


class RunDesk:
    """Takes goals in, gives events out; drives the `PolicyRunner` between them."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._runner: PolicyRunner | None = None
        self._problem = ""
        self._bridge: BridgeView | None = None
        self._bridge_heard_ns = 0
        self._observed_ns: int | None = None
        self._listened_ns = 0
        self._current: _Current | None = None
        self._events: list[RunStarted | RunEnded] = []

    @property
    def running(self) -> RunGoal | None:
        """The goal that moves the robot now."""
        current = self._current
        return current.goal if current is not None and current.epoch is not None else None

    @property
    def current(self) -> RunGoal | None:
        """The goal that runs or waits to start."""
        return self._current.goal if self._current is not None else None

    @property
    def stats(self) -> RunStats:
        """Counts and latencies of the current or last run."""
        return self._runner.stats if self._runner is not None else RunStats()

    def events(self) -> list[RunStarted | RunEnded]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def loaded(self, runner: PolicyRunner, now_ns: int, steady_ns: int) -> None:
        """The policy is ready; a waiting goal may start."""
        self._runner, self._problem = runner, ""
        if self._current is not None:
            self._current.waiting_since_ns = steady_ns
        self.tick(now_ns, steady_ns)

    def not_loaded(self, problem: str, now_ns: int) -> None:
        """The policy cannot be used; every goal is refused with this text."""
        self._runner, self._problem = None, problem
        self._end("REFUSED", problem, now_ns)

    def request(self, goal: RunGoal, now_ns: int, steady_ns: int) -> None:
        """A goal came in. Its fate is in `events`, now or later."""
        problem = self._problem or goal.problem
        busy = self._current
        if not problem and busy is not None and not (goal.continue_motion and self.running):
            problem = (
                f'busy with "{busy.goal.prompt}"; cancel that goal first, or set continue_motion '
                "to take over from it without a stop"
            )
        if problem:
            self._events.append(_never_started(goal, problem))
            return
        if busy is not None:
            self._take_over(busy, goal, now_ns, steady_ns)
            return
        self._current = _Current(goal=goal, asked_ns=now_ns, waiting_since_ns=steady_ns)
        self.tick(now_ns, steady_ns)

    def cancel(self, run_id: bytes, now_ns: int) -> None:
        """The client cancelled; unknown or ended goals are ignored."""
        if self._current is not None and self._current.goal.run_id == run_id:
            self._end("CANCELED", "cancelled by the client", now_ns)

    def bridge(self, view: BridgeView, now_ns: int, steady_ns: int) -> None:
        """The bridge reported; another epoch than the run's ends it."""
        self._bridge, self._bridge_heard_ns = view, steady_ns
        epoch = self._current.epoch if self._current is not None else None
        if epoch is not None and epoch != view.epoch:
            reason = (
                view.stop_text
                or view.hindrance
                or "the bridge was restarted, disabled or taken over"
            )
            self._end("STOPPED", f"stopped by control_bridge: {reason}", now_ns)
        self.tick(now_ns, steady_ns)

    def observed(self, steady_ns: int) -> None:
        """An observation came."""
        self._observed_ns = steady_ns

    def client(self, listens: bool, now_ns: int, steady_ns: int) -> None:
        """Whether anybody listens to the feedback; a goal whose client is gone ends STOPPED."""
        current, patience = self._current, self._patience
        if listens or current is None:
            self._listened_ns = steady_ns
            if current is not None:
                current.heard = True
            return
        limit_ns = patience.client_ns if current.heard else patience.meet_ns
        if steady_ns - self._listened_ns > limit_ns:
            self._end("STOPPED", "the client that asked for it is gone", now_ns)

    def fault(self, text: str, now_ns: int) -> None:
        """The policy failed in the middle of a run."""
        self._end("FAILED", text, now_ns)

    def close(self, text: str, now_ns: int) -> None:
        """The node goes down or time jumped: the current goal ends STOPPED."""
        self._end("STOPPED", text, now_ns)

    def tick(self, now_ns: int, steady_ns: int) -> None:
        """Start a waiting goal when it may start; end one whose time or patience is over."""
        current = self._current
        if current is None:
            return
        if current.epoch is None:
            self._try_start(current, now_ns, steady_ns)
            return
        limit_ns = current.goal.time_limit_ns or self._patience.run_ns
        if now_ns - current.started_ns >= limit_ns:
            self._end("TIMED_OUT", f"not ended within {limit_ns / 1e9:g} s", now_ns)
        elif steady_ns - self._bridge_heard_ns > self._patience.bridge_ns:
            self._end("STOPPED", _silent_bridge(self._patience.bridge_ns), now_ns)
        elif not self._observing(steady_ns):
            self._end("FAILED", _blind(self._patience.observation_ns), now_ns)

    def _try_start(self, current: _Current, now_ns: int, steady_ns: int) -> None:
        waited_ns = steady_ns - current.waiting_since_ns
        if self._runner is None:
            if waited_ns > self._patience.load_ns:
                limit_s = self._patience.load_ns / 1e9
                self._end("REFUSED", f"the policy was not loaded within {limit_s:g} s", now_ns)
            return
        bridge = self._bridge
        if bridge is None or steady_ns - self._bridge_heard_ns > self._patience.bridge_ns:
            if waited_ns > self._patience.meet_ns:
                self._end("REFUSED", _silent_bridge(self._patience.meet_ns), now_ns)
            return
        if bridge.stopped:
            self._end("REFUSED", f"the robot is stopped: {bridge.stop_text}", now_ns)
        elif not bridge.enabled:
            self._end("REFUSED", "the robot is not enabled; call control_bridge/enable", now_ns)
        elif bridge.hindrance or not self._observing(steady_ns):
            if waited_ns > self._patience.first_ns:
                self._end("REFUSED", self._not_ready(bridge.hindrance), now_ns)
        else:
            self._start(current, bridge.epoch, now_ns, continues=False)

    def _start(self, current: _Current, epoch: int, now_ns: int, *, continues: bool) -> None:
        assert self._runner is not None  # checked by the callers
        goal = current.goal
        try:
            if continues:
                self._runner.continue_run(
                    goal.run_id, goal.prompt, seed=goal.seed, speed=goal.speed
                )
            else:
                self._runner.start_run(
                    goal.run_id, epoch, goal.prompt, seed=goal.seed, speed=goal.speed
                )
        except PolicyFault as fault:
            self._end("REFUSED", str(fault), now_ns)
            return
        current.epoch, current.started_ns = epoch, now_ns
        self._events.append(RunStarted(goal=goal, epoch=epoch, continues=continues))

    def _take_over(self, busy: _Current, goal: RunGoal, now_ns: int, steady_ns: int) -> None:
        assert busy.epoch is not None  # only a running goal is taken over
        text = f'taken over by "{goal.prompt}"'
        self._events.append(self._ended(busy, "CANCELED", text, now_ns, taken_over=True))
        self._current = _Current(goal=goal, asked_ns=now_ns, waiting_since_ns=steady_ns)
        self._start(self._current, busy.epoch, now_ns, continues=True)

    def _end(self, outcome: RunOutcome, message: str, now_ns: int) -> None:
        current, self._current = self._current, None
        if current is None:
            return
        self._events.append(self._ended(current, outcome, message, now_ns))
        if self._runner is not None:
            self._runner.end_run()

    def _ended(
        self,
        current: _Current,
        outcome: RunOutcome,
        message: str,
        now_ns: int,
        *,
        taken_over: bool = False,
    ) -> RunEnded:
        return RunEnded(
            goal=current.goal,
            outcome=outcome,
            message=message,
            stats=self.stats if current.epoch is not None else RunStats(),
            duration_ns=max(0, now_ns - current.asked_ns),
            epoch=current.epoch,
            taken_over=taken_over,
        )

    def _observing(self, steady_ns: int) -> bool:
        last_ns = self._observed_ns
        return last_ns is not None and steady_ns - last_ns <= self._patience.observation_ns

    def _not_ready(self, hindrance: str) -> str:
        if hindrance:
            return f"the robot's side is not ready: {hindrance}"
        return _blind(self._patience.first_ns)


def _silent_bridge(limit_ns: int) -> str:
    return (
        f"control_bridge has been silent for {limit_ns / 1e9:g} s, expected its status twice a "
        "second; is it running?"
    )


def _blind(limit_ns: int) -> str:
    return (
        f"no observation for {limit_ns / 1e9:g} s: a camera or the joint states are missing; see "
        "/diagnostics of observation_sync"
    )


def _never_started(goal: RunGoal, problem: str) -> RunEnded:
    return RunEnded(
        goal=goal,
        outcome="REFUSED",
        message=problem,
        stats=RunStats(),
        duration_ns=0,
        epoch=None,
    )
