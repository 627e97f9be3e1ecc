"""Which run is current, and which of its plans may be executed."""

from __future__ import annotations

from vla_ros.chunks import Fence, Plan, Refusal
from vla_ros.motion import MotionRefused
from vla_ros.robot.command.execution import Execution
from vla_ros.robot.command.watchdogs import Alarm, PlanWatch
from vla_ros.robot.spec.robot import RobotSpec


class Runs:
    """One run at a time: its fence, its plans, and whether they keep coming.

    Args:
        spec: The robot file.
        spec_hash: Its hash, which every plan must carry.
        execution: Says how far a plan would first move the robot.

    Attributes:
        accepted: Plans executed since the start.
        refused: Plans refused since the start.
    """

    def __init__(self, spec: RobotSpec, spec_hash: int, execution: Execution) -> None:
        self._execution = execution
        self._max_first_step = spec.max_first_step
        self._fence = Fence(
            dim=spec.action_space().dim,
            spec_hash=spec_hash,
            max_age_ns=spec.watchdogs.plan_max_age_ns,
        )
        self._plans = PlanWatch(spec.watchdogs.plan_max_age_ns)
        self._hold_at_end = True
        self._ended: bytes | None = None
        self.accepted = 0
        self.refused = 0

    @property
    def current(self) -> bytes | None:
        """The current run, if any."""
        return self._fence.run_id

    def refusal(self, run_id: bytes, epoch: int, bridge_epoch: int) -> Refusal | None:
        """Why a run cannot begin, if it cannot: it is of the past."""
        if epoch == bridge_epoch and run_id != self._ended:
            return None
        return Refusal(
            reason="epoch",
            text=f"run {run_id.hex()[:8]} of epoch {epoch} is over, the epoch is {bridge_epoch}; "
            "start a new run",
        )

    def open(self, run_id: bytes, epoch: int, hold_at_end: bool) -> None:
        """This run is current; the one before is continued without a stop."""
        self._hold_at_end = hold_at_end
        self._fence.open(epoch, run_id)
        self._plans.off()

    def end(self, run_id: bytes) -> bool | None:
        """The run is over, if it is the current one.

        Returns:
            Whether the robot is to be held from now on; None where another run has taken over.
        """
        if run_id != self.current:
            return None
        self._ended = run_id
        return self._hold_at_end

    def close(self) -> None:
        """No run any more, and no expectation of plans."""
        self._fence.close()
        self._plans.off()

    def judge(self, plan: Plan, now_ns: int) -> Refusal | None:
        """Why a plan may not be executed, if it may not."""
        refusal = self._fence.judge(plan, now_ns)
        if refusal is not None:
            return refusal
        try:
            step, joint = self._execution.first_step(plan, now_ns)
        except MotionRefused as error:
            return Refusal(reason="motion", text=f"chunk {plan.seq}: {error}")
        if step <= self._max_first_step:
            return None
        return Refusal(
            reason="first_step",
            text=f"chunk {plan.seq} would first move {joint} by {step:.3f}, expected at most "
            f"max_first_step = {self._max_first_step:.3f}; check units and statistics of the "
            "policy, or move to its start pose first",
        )

    def count(self, plan: Plan, refusal: Refusal | None, now_ns: int, steady_ns: int) -> None:
        """A plan is being executed, or was refused."""
        if refusal is not None:
            self.refused += 1
            self._plans.refused(refusal.text)
            return
        self.accepted += 1
        self._fence.passed(plan)
        self._plans.fed(plan.end_ns - now_ns, steady_ns)

    def alarm(self, steady_ns: int) -> Alarm | None:
        """Why to stop, if there is a reason: the plans ceased."""
        return self._plans.alarm(steady_ns)
