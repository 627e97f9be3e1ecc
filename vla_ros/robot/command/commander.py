"""Everything the control bridge decides, as a pure object: time is an argument, nothing is sent.

    plan -> gate, fence, first-step check -> execution (motion, grippers, streams) -> commands

A stop brakes from the last commanded state and holds; only `resume` lets the robot move again, from
where it is. This is a software stop, not a safety function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Plan, Refusal
from vla_ros.motion import MotionRefused
from vla_ros.robot.command.authority import Authority
from vla_ros.robot.command.commands import (
    BridgeReport,
    CommandedSample,
    Commands,
    OutputReport,
)
from vla_ros.robot.command.outbox import Due
from vla_ros.robot.command.speed_scaling import SpeedScalingWatch
from vla_ros.robot.command.watchdogs import Alarm
from vla_ros.robot.spec.robot import RobotSpec

if TYPE_CHECKING:
    from vla_ros.robot.poses.workspace import Workspace

FloatArray = npt.NDArray[np.float64]


class Commander(Authority):
    """Turns plans into commands for one robot; see `Authority` for its arguments."""

    def __init__(
        self,
        spec: RobotSpec,
        *,
        start_enabled: bool = False,
        dry_run: bool = False,
        epoch: int = 1,
        workspace: Workspace | None = None,
    ) -> None:
        super().__init__(
            spec, start_enabled=start_enabled, dry_run=dry_run, epoch=epoch, workspace=workspace
        )
        self._scaling = SpeedScalingWatch(spec.speed_scaling)
        self._last_sent_ns: dict[str, int] = {}
        self._reported: tuple[object, ...] | None = None
        self._fresh = False

    @property
    def remark(self) -> str:
        """What is not executed of the last plan and why; empty where all is."""
        return self._execution.remark

    def report(self, now_ns: int) -> BridgeReport:
        """Its state, for BridgeStatus.msg."""
        sending = self._sending(now_ns)
        return BridgeReport(
            state=self.mode,
            epoch=self.epoch,
            enabled=self.enabled,
            dry_run=self.dry_run,
            owner=self.owner,
            stop_reason=self.stop_reason,
            stop_text=self.stop_text,
            reset_required=self._gate.stopped,
            hindrance=self._gate.hindrance,
            buffer_left_s=self._execution.left_ns(now_ns) / 1e9,
            deadline_misses=self._ticks.misses,
            chunks_accepted=self._runs.accepted,
            chunks_refused=self._runs.refused,
            outputs=tuple(
                OutputReport(
                    name=output.name,
                    controller=output.controller,
                    active=sending,
                    last_sent_ns=self._last_sent_ns.get(output.name, 0),
                    on_host_loss=output.on_host_loss or "",
                    limited=output.limits != "none",
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
        self._seen(now_ns)
        return None

    def speed_scaling(self, value: float, now_ns: int, steady_ns: int) -> None:
        """The robot's speed slider is at ``value``, in the unit of its topic."""
        self._steady_ns = max(self._steady_ns, steady_ns)
        factor = self._scaling.heard(value, steady_ns)
        if factor is not None:
            self._execution.slid(factor, now_ns)

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
        refusal = self._runs.refusal(run_id, epoch, self.epoch)
        if refusal is not None:
            return refusal
        if self._moves.pose:
            return Refusal(
                reason="mode",
                text=f"run refused: the robot is on its way to '{self._moves.pose}'; wait for it",
            )
        self._helm.take_back()
        self._runs.open(run_id, epoch, hold_at_end)
        return None

    def run_ended(self, run_id: bytes, now_ns: int) -> None:
        """The run is over: brake and hold. Ignored where another run has taken over."""
        hold = self._runs.end(run_id)
        if hold is not None:
            self._helm.released = not hold
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
        self._runs.count(plan, refusal, now_ns, steady_ns)
        self._fresh = refusal is None
        return refusal

    def preview(self, now_ns: int) -> Commands:
        """The plan just accepted, for controllers that play trajectories; nothing without one.

        To be sent at once: the plan may begin before the next tick of a process that is held up,
        and then its controllers would still be on the plan before.
        """
        fresh, self._fresh = self._fresh, False
        due = self._execution.preview(now_ns) if fresh and self._sending(now_ns) else Due()
        return Commands(
            windows=tuple(due.windows), values=(), grips=(), commanded=None, status_changed=False
        )

    def go_to(self, pose: str, speed: float, now_ns: int) -> Refusal | None:
        """Move to a named pose and hold there; a stop ends it early.

        Args:
            pose: Name in the robot file; joints it does not name stay.
            speed: Share of the limits to use, in (0, 1].
            now_ns: ROS time, in [ns].
        """
        refusal = self._refusal(f"go_to '{pose}'")
        if refusal is not None:
            return refusal
        if not self._helm.active:
            return Refusal(reason="no_state", text=f"go_to '{pose}' refused: no joint state yet")
        if self._runs.current is not None:
            return Refusal(
                reason="mode", text=f"go_to '{pose}' refused: {self.owner} is current; cancel it"
            )
        unknown = self._moves.unknown(pose)
        if unknown is not None:
            return unknown
        self._helm.take_back()
        return self._moves.begin(pose, speed, now_ns)

    def cancel_go_to(self, now_ns: int) -> None:
        """Brake and hold, if a go_to is under way."""
        if self._moves.pose:
            self._drop(now_ns)

    def go_to_progress(self, now_ns: int) -> float | None:
        """Share of the go_to done, in [0, 1]; None when none is under way (done or ended)."""
        return self._moves.progress(now_ns)

    # One tick -------------------------------------------------------------------------------------

    def tick(self, now_ns: int, steady_ns: int) -> Commands:
        """Decide what to send now; called once each control period.

        Args:
            now_ns: ROS time, in [ns].
            steady_ns: Steady time, in [ns]; in a lockstep simulation the simulated time.
        """
        self._steady_ns = max(self._steady_ns, steady_ns)
        due = self._notice_gap(now_ns)
        self._clock.tick(steady_ns)
        self._check_watchdogs(now_ns)
        if self._gate.owners.expired(self._steady_ns):
            self.give_back(self._gate.external, now_ns)  # refused until the robot rests
        commanded: CommandedSample | None = None
        if self._helm.active:
            setpoint = self._execution.advance(now_ns)
            self._joints.commanded(setpoint.t_ns, setpoint.position)
            if self._execution.finished:
                self._moves.forget()
            self._helm.note(now_ns)
        if self._helm.active:
            if self._sending(now_ns):
                due = self._helm.due(now_ns)
            commanded = self._sample()
        for name in (*dict(due.windows), *dict(due.values), *dict(due.grips)):
            self._last_sent_ns[name] = now_ns
        return self._commands(due, commanded)

    def must_say_goodbye(self, now_ns: int) -> bool:
        """Whether the robot may go on, or stop at once, if nothing more is sent from now on."""
        return self._sending(now_ns) and not self._execution.brakes_alone

    def last_words(self, now_ns: int) -> Commands:
        """What makes streamed outputs stand still, for a bridge that says nothing any more."""
        return self._commands(self._execution.halt(now_ns), None)

    # Inside ---------------------------------------------------------------------------------------

    def _sending(self, now_ns: int) -> bool:
        return self._helm.active and not (self.dry_run or self._helm.silent(now_ns))

    def _refusal(self, what: str) -> Refusal | None:
        """Why ``what`` may not move the robot now, if it may not."""
        refusal, alarm = self._gate.refusal(what), self._scaling.alarm(self._steady_ns)
        if refusal is None and alarm is not None:
            refusal = Refusal(reason="mode", text=f"{what} refused: {alarm[1]}")
        return refusal

    def _judge(self, plan: Plan, now_ns: int) -> Refusal | None:
        refusal = self._refusal(f"chunk {plan.seq}")
        if refusal is not None:
            return refusal
        if not self._helm.active:
            return Refusal(reason="no_state", text=f"chunk {plan.seq} came before a joint state")
        return self._runs.judge(plan, now_ns)

    def _notice_gap(self, now_ns: int) -> Due:
        """Stop where the bridge did not run for too long; what makes the robot stand still then."""
        if self._ticks.went_back(now_ns):
            self.clock_jump(now_ns, self._steady_ns)
        alarm = self._ticks.tick(now_ns)
        if alarm is None or not self._helm.active or self._execution.at_rest:
            return Due()
        self.stop(alarm[0], alarm[1], now_ns)
        if self._execution.arm.whole_chunks:
            return Due()  # the chunk is still being played, so brake from there
        self._helm.active = False
        return Due() if self.dry_run else self._execution.halt(now_ns)

    def _check_watchdogs(self, now_ns: int) -> None:
        self._stop_once(self._estop.alarm(self._steady_ns), now_ns)
        if not self._helm.active:
            return
        followed = not (self.dry_run or self._helm.released)
        silence = self._joints.silence(self._steady_ns)
        if silence:
            self._unseen(silence, now_ns)
            return
        alarm = (self._joints.astray if followed else None) or self._runs.alarm(self._steady_ns)
        if alarm is None and not self._execution.at_rest:
            alarm = self._scaling.alarm(self._steady_ns)
        if alarm is None:
            fault = self._execution.fault or self._breach()
            alarm = ("motion", fault) if fault else None
        if alarm is None and followed:
            alarm = self._astray()
        if alarm is None and not self._execution.at_rest:
            breach = self._leaving(now_ns)
            alarm = ("workspace", breach) if breach else None
        self._stop_once(alarm, now_ns)

    def _breach(self) -> str:
        measured = self._streamed()
        return "" if measured is None else self._execution.streams.breach(measured)

    def _astray(self) -> Alarm | None:
        measured, most = self._streamed(), self._spec.max_tracking_error
        if measured is None:
            return None
        far, where = self._execution.streams.astray(measured, self._joints.stamp_ns)
        if far <= most:
            return None
        return (
            "tracking_error",
            f"{where}, expected at most {most:.3f} of each; look for a collision, a protective "
            "stop, a pose out of reach or another commander, then resume",
        )

    def _streamed(self) -> FloatArray | None:
        """Where the joints of streamed outputs are measured to be."""
        measured = self._joints.position
        if measured is None:
            return None
        return measured[len(measured) - len(self._execution.streams.joints) :]

    def _leaving(self, now_ns: int) -> str:
        """What would leave the workspace though it braked from the next period on, else empty."""
        if self._workspace is None:
            return ""
        texts = [self._workspace.breach(self._execution.brake_path(now_ns))]
        for part, poses in self._execution.streams.brake_poses(now_ns):
            texts.append(self._workspace.breach_of(part.link, poses))
        return next(filter(None, texts), "")

    def _commands(self, due: Due, commanded: CommandedSample | None) -> Commands:
        key = (
            self.mode,
            self.epoch,
            self.enabled,
            self.owner,
            self.stop_reason,
            self.stop_text,
            self._gate.hindrance,
        )
        changed, self._reported = key != self._reported, key
        return Commands(
            windows=tuple(due.windows),
            values=tuple(due.values),
            grips=tuple(due.grips),
            commanded=commanded,
            status_changed=changed,
        )

    def _sample(self) -> CommandedSample:
        measured = self._joints.position
        first, count = len(self._execution.arm.names), len(self._execution.grippers)
        at = np.zeros(count) if measured is None else measured[first : first + count]
        return self._execution.sample(self.mode, self.epoch, at)
