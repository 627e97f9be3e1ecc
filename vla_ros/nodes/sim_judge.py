"""The simulator as success checker: `vla_ros.sim.judge` on the truth that sim_robot publishes."""

from __future__ import annotations

from vla_ros.sim.expert_policy import read_canonical
from vla_ros.sim.judge import judge
from vla_ros.sim.truth import SimError, SimTruth, Target
from vla_ros.task_planning import SuccessVerdict

NO_LIMIT_NS = 2**62


class SimulatorChecker:
    """SuccessChecker over the simulator's truth. Time limits are the task's business, not its."""

    source = "simulator"

    def __init__(self) -> None:
        self._target: Target | None = None
        self._before: SimTruth | None = None
        self._now: SimTruth | None = None
        self._problem = ""

    def push(self, truth: SimTruth) -> None:
        """The state of the world at one image."""
        self._now = truth
        if self._before is None:
            self._before = truth

    def begin(self, prompt: str, now_ns: int) -> None:
        """A subtask begins: its reading, and the state to compare with."""
        self._before, self._problem = self._now, ""
        try:
            self._target = read_canonical(prompt)
        except SimError as error:
            self._target, self._problem = None, str(error)

    def verdict(self, now_ns: int) -> SuccessVerdict:
        """Judge the current subtask by the latest truth."""
        if self._target is None:
            return SuccessVerdict(outcome="UNKNOWN", reason=self._problem or "no subtask")
        if self._before is None or self._now is None:
            return SuccessVerdict(outcome="RUNNING", reason="no truth from the simulator yet")
        said = judge(self._before, self._now, self._target, time_limit_ns=NO_LIMIT_NS)
        if said.outcome == "SUCCESS":
            return SuccessVerdict(outcome="SUCCEEDED", reason=said.reason)
        return SuccessVerdict(outcome=said.outcome, reason=said.reason)
