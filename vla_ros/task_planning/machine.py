"""The pure half of the `execute_task` action: subtask after subtask, judged, retried, or given up.

Verdicts, run results and times go in; what the node must do comes out of `actions`, in order. The
next subtask takes over from the one before without a stop. Time is an argument: ROS time for
limits, steady time for "is the policy alive".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

TaskOutcome = Literal[
    "UNKNOWN", "SUCCEEDED", "FAILED", "REFUSED", "TIMED_OUT", "STOPPED", "CANCELED"
]
Phase = Literal["PLANNING", "CONFIRMING", "EXECUTING", "REPLANNING", "STOPPING"]


@dataclass(frozen=True, kw_only=True)
class Subtask:
    """One step of a plan.

    Attributes:
        text: For people.
        prompt: What the policy is told.
    """

    text: str
    prompt: str


@dataclass(frozen=True, kw_only=True)
class SubtaskRecord:
    """How one subtask went. `outcome` UNKNOWN with `attempts` 0: never reached."""

    subtask: Subtask
    outcome: TaskOutcome = "UNKNOWN"
    message: str = ""
    attempts: int = 0
    duration_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class TaskLimits:
    """When to give up.

    Attributes:
        attempts: Times a subtask is tried.
        attempt_ns: ROS time for one attempt, in [ns].
        policy_silence_ns: Steady time without a sign of life of the policy, in [ns].
    """

    attempts: int = 2
    attempt_ns: int = 15_000_000_000
    policy_silence_ns: int = 5_000_000_000


@dataclass(frozen=True, kw_only=True)
class SendRun:
    """Send a `run_policy` goal; `number` comes back with its result."""

    number: int
    index: int
    subtask: Subtask
    time_limit_ns: int
    continue_motion: bool


@dataclass(frozen=True, kw_only=True)
class CancelRun:
    """Cancel the `run_policy` goal with this number."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The task has its outcome."""

    outcome: TaskOutcome
    message: str
    subtasks: tuple[SubtaskRecord, ...]


Action = SendRun | CancelRun | Finish


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What feedback says."""

    phase: Phase
    index: int
    share: float
    elapsed_ns: int
    note: str


class TaskMachine:
    """One `execute_task` goal, from its plan to its outcome.

    Args:
        subtasks: At least one.
        judged: Whether somebody says when a subtask is done; else each runs for its time and the
            outcome is UNKNOWN.
        limits: When to give up.
        time_limit_ns: Of the whole task, ROS time, in [ns]; 0: all attempts of all subtasks.
        confirm: Wait for `confirm` before moving.
        now_ns: ROS time, in [ns].
        steady_ns: Steady time, in [ns].
    """

    def __init__(
        self,
        subtasks: Sequence[Subtask],
        *,
        judged: bool,
        limits: TaskLimits,
        time_limit_ns: int,
        confirm: bool,
        now_ns: int,
        steady_ns: int,
    ) -> None:
        if not subtasks:
            raise ValueError("a task needs at least one subtask")
        self._subtasks = tuple(subtasks)
        self._judged = judged
        self._limits = limits
        self._limit_ns = time_limit_ns or limits.attempts * limits.attempt_ns * len(subtasks)
        self._start_ns = now_ns
        self._records = [SubtaskRecord(subtask=s) for s in subtasks]
        self._index = 0
        self._began_ns = now_ns
        self._attempt = 0
        self._run: int | None = None
        self._runs = 0
        self._alive_ns = steady_ns
        self._phase: Phase = "CONFIRMING"
        self._note = "waiting for the operator's confirmation"
        self._ending: tuple[TaskOutcome, str] | None = None
        self._actions: list[Action] = []
        self.finished = False
        if not confirm:
            self.confirm(now_ns, steady_ns)

    def actions(self) -> list[Action]:
        """What to do since the last call, in order."""
        actions, self._actions = self._actions, []
        return actions

    @property
    def current(self) -> int | None:
        """Index of the subtask that a run pursues now and that may be judged."""
        return self._index if self._run is not None and self._ending is None else None

    def progress(self, now_ns: int) -> Progress:
        """For feedback."""
        return Progress(
            phase=self._phase,
            index=min(self._index, len(self._subtasks) - 1),
            share=self._index / len(self._subtasks),
            elapsed_ns=max(0, now_ns - self._start_ns),
            note=self._note,
        )

    def confirm(self, now_ns: int, steady_ns: int) -> None:
        """The operator agrees with the plan."""
        if self._phase == "CONFIRMING":
            self._begin(now_ns, steady_ns, continue_motion=False)

    def alive(self, steady_ns: int) -> None:
        """The policy gave a sign of life."""
        self._alive_ns = steady_ns
        if self._phase == "REPLANNING":
            self._phase = "EXECUTING"

    def note(self, text: str) -> None:
        """What is happening, for feedback."""
        if self._phase == "EXECUTING":
            self._note = text

    def judged(
        self,
        outcome: Literal["RUNNING", "SUCCEEDED", "FAILED", "UNKNOWN"],
        reason: str,
        now_ns: int,
        steady_ns: int,
    ) -> None:
        """The judge says how the current subtask stands."""
        if outcome == "SUCCEEDED":
            self.success(now_ns, steady_ns, reason)
        elif outcome == "FAILED":
            self.failure(now_ns, reason)
        else:
            self.note(reason)

    def success(self, now_ns: int, steady_ns: int, reason: str) -> None:
        """The judge says that the current subtask is done."""
        if self.current is None:
            return
        self._record("SUCCEEDED", reason, now_ns)
        self._index += 1
        if self._index == len(self._subtasks):
            self._wind_up("SUCCEEDED", "")
        else:
            self._began_ns, self._attempt = now_ns, 0
            self._begin(now_ns, steady_ns, continue_motion=True)

    def failure(self, now_ns: int, reason: str) -> None:
        """The judge says that the current subtask cannot succeed any more."""
        if self.current is not None:
            self._record("FAILED", reason, now_ns)
            self._wind_up("FAILED", self._gave_up(reason))

    def cancel(self, now_ns: int) -> None:
        """The client cancelled the task."""
        self._record("CANCELED", "cancelled by the client", now_ns)
        self._wind_up("CANCELED", "cancelled by the client")

    def run_ended(
        self, number: int, outcome: TaskOutcome, message: str, now_ns: int, steady_ns: int
    ) -> None:
        """A run has its result; results of runs that were taken over are ignored."""
        if number != self._run:
            return
        self._run = None
        if self._ending is not None:
            self._finish(*self._ending)
        elif outcome == "TIMED_OUT":
            self._timed_out(now_ns, steady_ns)
        elif outcome == "STOPPED":
            self._record("STOPPED", message, now_ns)
            self._finish("STOPPED", message)
        elif outcome == "REFUSED":
            self._record("REFUSED", message, now_ns)
            self._finish(
                "REFUSED" if self._index == 0 and self._attempt == 1 else "FAILED", message
            )
        elif outcome == "CANCELED":
            reason = f"somebody else cancelled or took over the run of the policy: {message}"
            self._record("FAILED", reason, now_ns)
            self._finish("FAILED", reason)
        else:  # the policy failed, or claims success that nobody judged
            self._retry(message or "the policy ended the run", now_ns, steady_ns)

    def tick(self, now_ns: int, steady_ns: int) -> None:
        """Notice that time or patience is over."""
        if self.finished:
            return
        if self._run is not None and steady_ns - self._alive_ns > self._limits.policy_silence_ns:
            reason = (
                f"the policy node has been silent for {self._limits.policy_silence_ns / 1e9:g} s, "
                "expected feedback several times a second; is it running? The arm brakes by itself"
            )
            self._record("STOPPED", reason, now_ns)
            self._run = None
            self._finish(*(self._ending or ("STOPPED", reason)))
        elif self._ending is None and now_ns - self._start_ns >= self._limit_ns:
            reason = f"not done within the task's {self._limit_ns / 1e9:g} s; {self._note}"
            self._record("TIMED_OUT", reason, now_ns)
            self._wind_up("TIMED_OUT", reason)

    def _begin(self, now_ns: int, steady_ns: int, *, continue_motion: bool) -> None:
        self._attempt += 1
        self._runs += 1
        self._run = self._runs
        self._alive_ns = steady_ns
        self._phase = "EXECUTING"
        subtask = self._subtasks[self._index]
        self._note = subtask.text
        self._actions.append(
            SendRun(
                number=self._runs,
                index=self._index,
                subtask=subtask,
                time_limit_ns=self._limits.attempt_ns,
                continue_motion=continue_motion,
            )
        )

    def _timed_out(self, now_ns: int, steady_ns: int) -> None:
        if self._judged:
            limit_s = self._limits.attempt_ns / 1e9
            self._retry(f"not done within {limit_s:g} s; {self._note}", now_ns, steady_ns)
            return
        self._record("UNKNOWN", "nobody judged it", now_ns)
        self._index += 1
        if self._index == len(self._subtasks):
            self._finish("UNKNOWN", "every subtask ran for its time; nobody judged the result")
        else:
            self._began_ns, self._attempt = now_ns, 0
            self._begin(now_ns, steady_ns, continue_motion=False)

    def _retry(self, reason: str, now_ns: int, steady_ns: int) -> None:
        if self._attempt >= self._limits.attempts:
            self._record("FAILED", reason, now_ns)
            self._finish("FAILED", self._gave_up(reason))
            return
        self._begin(now_ns, steady_ns, continue_motion=False)
        self._phase = "REPLANNING"
        self._note = f"attempt {self._attempt}: {reason}"

    def _gave_up(self, reason: str) -> str:
        text = self._subtasks[self._index].text
        tries = f"{self._attempt} attempt{'s' if self._attempt > 1 else ''}"
        return f'gave up on "{text}" after {tries}: {reason}'

    def _record(self, outcome: TaskOutcome, message: str, now_ns: int) -> None:
        if self._index < len(self._records) and self._ending is None and not self.finished:
            self._records[self._index] = SubtaskRecord(
                subtask=self._subtasks[self._index],
                outcome=outcome,
                message=message,
                attempts=self._attempt,
                duration_ns=max(0, now_ns - self._began_ns),
            )

    def _wind_up(self, outcome: TaskOutcome, message: str) -> None:
        """End the run first, then the task."""
        if self.finished or self._ending is not None:
            return
        if self._run is None:
            self._finish(outcome, message)
            return
        self._ending = (outcome, message)
        self._phase = "STOPPING"
        self._actions.append(CancelRun(number=self._run))

    def _finish(self, outcome: TaskOutcome, message: str) -> None:
        if not self.finished:
            self.finished = True
            self._actions.append(
                Finish(outcome=outcome, message=message, subtasks=tuple(self._records))
            )
