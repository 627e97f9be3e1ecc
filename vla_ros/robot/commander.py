"""Everything the control bridge decides, as a pure object: time is an argument, nothing is sent.

    plan -> gate, fence, first-step check -> execution (motion, grippers, bases) -> commands

A stop brakes from the last commanded state and holds; only `resume` lets the robot move again, from
where it is. This is a software stop, not a safety function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vla_ros.chunks import Fence, Plan, Refusal
from vla_ros.motion import MotionRefused, TrajectoryWindow
from vla_ros.robot.commands import (
    BridgeReport,
    CommandedSample,
    Commands,
    Mode,
    OutputReport,
    StopReason,
)
from vla_ros.robot.execution import Execution, Twist
from vla_ros.robot.gate import Gate
from vla_ros.robot.spec import RobotSpec, spec_hash
from vla_ros.robot.watchdogs import JointWatch, PlanWatch, RestWatch, TickWatch


@dataclass(frozen=True, kw_only=True)
class _GoTo:
    pose: str
    start_ns: int
    duration_ns: int


class Commander:
    """Turns plans into commands for one robot.

    Args:
        spec: The robot file.
        start_enabled: Whether the robot may move without an `enable` (simulators only).
        dry_run: Compute everything, send nothing.
        epoch: First epoch; must differ from those of an earlier process, so a node draws it.

    Raises:
        OutputError: The robot file has an output that cannot be driven.
    """

    def __init__(
        self,
        spec: RobotSpec,
        *,
        start_enabled: bool = False,
        dry_run: bool = False,
        epoch: int = 1,
    ) -> None:
        self._spec = spec
        self._gate = Gate(epoch=epoch, enabled=start_enabled, dry_run=dry_run)
        hash_ = spec_hash(spec)
        self._execution = Execution(spec, hash_)
        self._fence = Fence(
            dim=spec.action_space().dim,
            spec_hash=hash_,
            max_age_ns=spec.watchdogs.plan_max_age_ns,
        )
        self._arm_size = len(self._execution.arm.names)
        watched = self._execution.arm.names + tuple(g.joint for g in self._execution.grippers)
        self._joints = JointWatch(
            watched,
            np.arange(len(watched)) < self._arm_size,
            spec.watchdogs.joint_state_max_age_ns,
            spec.max_tracking_error,
        )
        self._plans = PlanWatch(spec.watchdogs.plan_max_age_ns)
        self._ticks = TickWatch(spec.rates.control_period_ns, spec.rates.lookahead_ns)
        self._rest = RestWatch(spec.rates.lookahead_ns)
        self._active = False
        self._released = False
        self._hold_at_end = True
        self._ended_run: bytes | None = None
        self._going: _GoTo | None = None
        self._steady_ns = 0
        self._last_sent_ns: dict[str, int] = {}
        self._accepted = 0
        self._refused = 0
        self._reported: tuple[object, ...] | None = None

    # What it is doing -----------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Raised at every stop, takeover, clock jump and activation."""
        return self._gate.epoch

    @property
    def enabled(self) -> bool:
        """Whether the robot may move."""
        return self._gate.enabled

    @property
    def dry_run(self) -> bool:
        """Whether everything is computed and nothing sent."""
        return self._gate.dry_run

    @property
    def run_id(self) -> bytes | None:
        """The current run, if any."""
        return self._fence.run_id

    @property
    def mode(self) -> Mode:
        """What it is doing now."""
        at_rest = not self._active or self._execution.at_rest
        if self._gate.external:
            return "EXTERNAL"
        if self._gate.stopped and at_rest:
            return "STOPPED"
        if not self._active or (self._released and at_rest):
            return "IDLE"
        return "DRY_RUN" if self._gate.dry_run else self._execution.state

    @property
    def owner(self) -> str:
        """Who moves the robot: a run, a go_to, somebody else, or nobody (empty)."""
        if self._gate.external:
            return self._gate.external
        if self._fence.run_id is not None:
            return f"run {self._fence.run_id.hex()[:8]}"
        return f"go_to {self._going.pose}" if self._going is not None else ""

    @property
    def stop_reason(self) -> StopReason:
        """Kind of the stop that holds the robot, or ``none``."""
        return self._gate.stop_reason

    @property
    def stop_text(self) -> str:
        """What, expected, got, what to do; empty without a stop."""
        return self._gate.stop_text

    def go_to_progress(self, now_ns: int) -> float | None:
        """Share of the go_to done, in [0, 1]; None when none is under way (done or ended)."""
        if self._going is None:
            return None
        done = (now_ns - self._going.start_ns) / max(1, self._going.duration_ns)
        return float(np.clip(done, 0.0, 1.0))

    def report(self, now_ns: int) -> BridgeReport:
        """Its state, for BridgeStatus.msg."""
        sending = self._active and not self.dry_run and not self._relinquished(now_ns)
        return BridgeReport(
            state=self.mode,
            epoch=self.epoch,
            enabled=self.enabled,
            dry_run=self.dry_run,
            owner=self.owner,
            stop_reason=self.stop_reason,
            stop_text=self.stop_text,
            reset_required=self._gate.stopped,
            buffer_left_s=self._execution.left_ns(now_ns) / 1e9,
            deadline_misses=self._ticks.misses,
            chunks_accepted=self._accepted,
            chunks_refused=self._refused,
            outputs=tuple(
                OutputReport(
                    name=output.name,
                    controller=output.controller,
                    active=sending,
                    last_sent_ns=self._last_sent_ns.get(output.name, 0),
                    on_host_loss=output.on_host_loss or "",
                )
                for output in self._spec.outputs
            ),
        )

    # Inputs ---------------------------------------------------------------------------------------

    def joint_state(
        self, stamp_ns: int, positions: Mapping[str, float], now_ns: int, steady_ns: int
    ) -> Refusal | None:
        """Take the measured joint positions, by name; others than the commanded are ignored.

        Returns:
            None, or why it was not taken; the robot stops when that lasts.
        """
        self._steady_ns = max(self._steady_ns, steady_ns)
        refused = self._joints.push(stamp_ns, positions, steady_ns)
        if refused is not None:
            return Refusal(reason="no_state", text=refused)
        if not self._active:
            self._activate(now_ns)
        return None

    def run_started(self, run_id: bytes, epoch: int, hold_at_end: bool = True) -> Refusal | None:
        """A run is current from now on; a run still current is continued without a stop.

        Args:
            run_id: The goal's UUID. 16 bytes.
            epoch: The epoch the policy knew when it started the run.
            hold_at_end: Keep commanding the last position when the run is over, rather than
                leaving the holding to the robot's own controllers.
        """
        refusal = self._gate.refusal(f"run {run_id.hex()[:8]}")
        if refusal is not None:
            return refusal
        if epoch != self.epoch or run_id == self._ended_run:
            return Refusal(
                reason="epoch",
                text=f"run {run_id.hex()[:8]} of epoch {epoch} is over, the epoch is {self.epoch}; "
                "start a new run",
            )
        if self._going is not None:
            return Refusal(
                reason="mode",
                text=f"run refused: the robot is on its way to '{self._going.pose}'; wait for it",
            )
        self._take_back()
        self._hold_at_end = hold_at_end
        self._fence.open(epoch, run_id)
        self._plans.off()
        return None

    def run_ended(self, run_id: bytes, now_ns: int) -> None:
        """The run is over: brake and hold. Ignored where another run has taken over."""
        if run_id == self._fence.run_id:
            self._ended_run = run_id
            self._released = not self._hold_at_end
            self._drop(now_ns)

    def accept(self, plan: Plan, now_ns: int, steady_ns: int) -> Refusal | None:
        """Take a plan, or refuse it whole and stay with what is in force."""
        self._steady_ns = max(self._steady_ns, steady_ns)
        refusal = self._judge(plan, now_ns)
        if refusal is None:
            try:
                self._execution.accept(plan, now_ns)
            except MotionRefused as error:
                refusal = Refusal(reason="motion", text=f"chunk {plan.seq}: {error}")
        if refusal is not None:
            self._refused += 1
            return refusal
        self._fence.passed(plan)
        self._accepted += 1
        self._plans.fed(plan.end_ns - now_ns, steady_ns)
        return None

    def enable(self, flag: bool, now_ns: int) -> Refusal | None:
        """Open or close the gate; closing brakes first, opening starts from where the robot is."""
        if flag == self.enabled:
            return None
        if flag and self._joints.position is not None and not self._gate.stopped:
            refusal = self._not_settled()
            if refusal is not None:
                return refusal
        self._gate.enabled = flag
        self._gate.raise_epoch()
        if flag:
            self._activate(now_ns)
        else:
            self._drop(now_ns)
        return None

    def stop(self, reason: StopReason, text: str, now_ns: int) -> None:
        """Brake from the last commanded state, base to zero, gripper as it is; hold until resume.

        Where a stop holds the robot already, its reason stays.

        Args:
            reason: Kind of stop.
            text: What, expected, got, what to do.
            now_ns: ROS time, in [ns].
        """
        self._gate.latch(reason, text)
        self._gate.raise_epoch()
        self._drop(now_ns)

    def resume(self, now_ns: int) -> Refusal | None:
        """Let a stopped robot move again, from where it is. No run survives a stop."""
        if not self._gate.stopped:
            return Refusal(reason="mode", text="nothing to resume: the robot is not stopped")
        refusal = self._not_settled()
        if refusal is not None:
            return refusal
        self._gate.unlatch()
        self._gate.raise_epoch()
        self._activate(now_ns)
        return None

    def take_over(self, owner: str, now_ns: int) -> None:
        """Somebody else commands the robot from now on; nothing is sent until `give_back`."""
        self._gate.external = owner
        self._gate.raise_epoch()
        self._drop(now_ns)
        self._active = False

    def give_back(self, now_ns: int) -> Refusal | None:
        """Command the robot again, from where it is."""
        if not self._gate.external:
            return Refusal(reason="mode", text="nothing to give back: nobody took over")
        refusal = self._not_settled()
        if refusal is not None:
            return refusal
        self._gate.external = ""
        self._gate.raise_epoch()
        self._activate(now_ns)
        return None

    def go_to(self, pose: str, speed: float, now_ns: int) -> Refusal | None:
        """Move to a named pose and hold there; a stop ends it early.

        Args:
            pose: Name in the robot file; joints it does not name stay.
            speed: Share of the limits to use, in (0, 1].
            now_ns: ROS time, in [ns].
        """
        refusal = self._gate.refusal(f"go_to '{pose}'")
        if refusal is not None:
            return refusal
        if not self._active:
            return Refusal(reason="no_state", text=f"go_to '{pose}' refused: no joint state yet")
        if self._fence.run_id is not None:
            return Refusal(
                reason="mode", text=f"go_to '{pose}' refused: {self.owner} is current; cancel it"
            )
        target = self._spec.poses.get(pose)
        if target is None:
            known = ", ".join(self._spec.poses) or "none"
            return Refusal(
                reason="unknown_pose", text=f"pose '{pose}' is unknown; the robot file has: {known}"
            )
        self._take_back()
        try:
            duration_ns = self._execution.go_to(target, speed, now_ns)
        except MotionRefused as error:
            return Refusal(reason="motion", text=f"go_to '{pose}': {error}")
        self._going = _GoTo(pose=pose, start_ns=now_ns, duration_ns=duration_ns)
        return None

    def cancel_go_to(self, now_ns: int) -> None:
        """Brake and hold, if a go_to is under way."""
        if self._going is not None:
            self._drop(now_ns)

    def clock_jump(self, now_ns: int) -> None:
        """ROS time jumped: forget all instants and hold; nothing is fast-forwarded."""
        self._gate.raise_epoch()
        self._drop(now_ns)
        self._joints.clear()
        self._ticks.forget()
        self._rest.restart()
        if self._active:
            self._execution.clock_jump(now_ns)

    # One tick -------------------------------------------------------------------------------------

    def tick(self, now_ns: int, steady_ns: int) -> Commands:
        """Decide what to send now; called once each control period.

        Args:
            now_ns: ROS time, in [ns].
            steady_ns: Steady time, in [ns]; in a lockstep simulation the simulated time.
        """
        self._steady_ns = max(self._steady_ns, steady_ns)
        self._notice_gap(now_ns)
        self._check_watchdogs(now_ns)
        windows: list[tuple[str, TrajectoryWindow]] = []
        twists: list[tuple[str, Twist]] = []
        commanded: CommandedSample | None = None
        if self._active:
            setpoint = self._execution.advance(now_ns)
            self._joints.commanded(setpoint.t_ns, setpoint.position)
            if self._execution.finished:
                self._going = None
            self._note_rest(now_ns)
        if self._active:
            if not (self.dry_run or self._relinquished(now_ns)):
                windows = self._execution.windows(now_ns)
                twists = self._execution.twists()
            commanded = self._sample()
        self._last_sent_ns.update(dict.fromkeys((name for name, _ in [*windows, *twists]), now_ns))
        key = (
            self.mode,
            self.epoch,
            self.enabled,
            self.owner,
            self.stop_reason,
            self.stop_text,
        )
        changed, self._reported = key != self._reported, key
        return Commands(
            windows=tuple(windows),
            twists=tuple(twists),
            commanded=commanded,
            status_changed=changed,
        )

    # Inside ---------------------------------------------------------------------------------------

    def _judge(self, plan: Plan, now_ns: int) -> Refusal | None:
        refusal = self._gate.refusal(f"chunk {plan.seq}")
        if refusal is not None:
            return refusal
        if not self._active:
            return Refusal(reason="no_state", text=f"chunk {plan.seq} came before a joint state")
        refusal = self._fence.judge(plan, now_ns)
        if refusal is not None:
            return refusal
        step, joint = self._execution.first_step(plan, now_ns)
        if step <= self._spec.max_first_step:
            return None
        return Refusal(
            reason="first_step",
            text=f"chunk {plan.seq} would first move {joint} by {step:.3f}, expected at most "
            f"max_first_step = {self._spec.max_first_step:.3f}; check units and statistics of the "
            "policy, or move to its start pose first",
        )

    def _not_settled(self) -> Refusal | None:
        if not self._joints.fresh(self._steady_ns):
            return Refusal(
                reason="no_state", text="no fresh joint state; check the robot driver first"
            )
        if (self._active and not self._execution.at_rest) or not self._joints.settled():
            return Refusal(
                reason="not_settled", text="the robot still moves; wait until it rests, then retry"
            )
        return None

    def _activate(self, now_ns: int) -> None:
        """Take command from where the robot is, if everything allows it."""
        measured = self._joints.position
        gate = self._gate
        if measured is None or not gate.enabled or gate.stopped or gate.external:
            return
        self._active = True
        self._released = False
        self._rest.restart()
        self._joints.restart()
        try:
            self._execution.restart(measured[: self._arm_size], now_ns)
        except MotionRefused as error:
            self._active = False
            gate.latch("motion", str(error))
            return
        for gripper in self._execution.grippers:
            gripper.republish()

    def _take_back(self) -> None:
        """Command again after a release; from the measured position where the arm was moved."""
        measured, setpoint = self._joints.position, self._execution.setpoint
        released, self._released = self._released, False
        self._rest.restart()
        if not (released and self._active) or measured is None or setpoint is None:
            return
        moved = np.abs(measured[: self._arm_size] - setpoint.position).max(initial=0.0)
        if moved > self._spec.max_tracking_error and not self.dry_run:
            self._activate(setpoint.t_ns)

    def _drop(self, now_ns: int) -> None:
        """No run and no go_to any more: brake and hold."""
        self._fence.close()
        self._plans.off()
        self._going = None
        if self._active:
            self._execution.stop(now_ns)

    def _notice_gap(self, now_ns: int) -> None:
        if self._ticks.went_back(now_ns):
            self.clock_jump(now_ns)
        alarm = self._ticks.tick(now_ns)
        if alarm is not None and self._active and not self._execution.at_rest:
            self.stop(alarm[0], alarm[1], now_ns)
            self._active = False

    def _check_watchdogs(self, now_ns: int) -> None:
        if not self._active or self._gate.stopped:
            return
        followed = not (self.dry_run or self._released)
        alarm = self._joints.alarm(self._steady_ns, followed) or self._plans.alarm(self._steady_ns)
        if alarm is None and self._execution.fault:
            alarm = ("motion", self._execution.fault)
        if alarm is not None:
            self.stop(alarm[0], alarm[1], now_ns)

    def _note_rest(self, now_ns: int) -> None:
        self._rest.note(self._execution.at_rest, now_ns)
        if not self.enabled and self._relinquished(now_ns):
            self._active = False  # a robot that is disabled and at rest is left alone

    def _relinquished(self, now_ns: int) -> bool:
        """Whether nobody is in command and the last window has been played to its end."""
        wanted = self.enabled and not self._gate.stopped and not self._released
        return not wanted and self._rest.over(now_ns)

    def _sample(self) -> CommandedSample:
        measured = self._joints.position
        count = len(self._execution.grippers)
        at = np.zeros(count) if measured is None else measured[self._arm_size :]
        return self._execution.sample(self.mode, self.epoch, at)
