"""Who may move the robot: the enable gate, stops and what lifts them, other owners.

A stop brakes from the last commanded state and holds; only `resume` lets the robot move again, from
where it is. This is a software stop, not a safety function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vla_ros.chunks import Refusal
from vla_ros.robot.command.commands import Mode, StopReason
from vla_ros.robot.command.estop import EStopWatch
from vla_ros.robot.command.execution import Execution
from vla_ros.robot.command.gate import Gate
from vla_ros.robot.command.helm import Helm
from vla_ros.robot.command.joint_watch import JointWatch
from vla_ros.robot.command.moves import PoseMoves
from vla_ros.robot.command.owners import Owners
from vla_ros.robot.command.runs import Runs
from vla_ros.robot.command.watchdogs import Alarm, ClockWatch, TickWatch
from vla_ros.robot.outputs.layout import OutputError
from vla_ros.robot.spec.robot import RobotSpec, spec_hash

if TYPE_CHECKING:
    from vla_ros.robot.poses.workspace import Workspace


def _execution_of(spec: RobotSpec, hash_: int) -> Execution:
    if not spec.solved_slices:
        return Execution(spec, hash_)
    from vla_ros.robot.poses.pose_execution import PoseExecution  # mink only where it is used

    return PoseExecution(spec, hash_)


class Authority:
    """Everything that decides whether the robot may move, not where to.

    Args:
        spec: The robot file.
        start_enabled: Whether the robot may move without an `enable` (simulators only).
        dry_run: Compute everything, send nothing.
        epoch: First epoch; must differ from those of an earlier process, so a node draws it.
        workspace: Bounds in task space; must be given where the robot file has them.

    Raises:
        OutputError: The robot file has an output that cannot be driven, or a workspace that was
            not given.
        KinematicsError: The robot is told poses that its joints do not decide.
    """

    def __init__(
        self,
        spec: RobotSpec,
        *,
        start_enabled: bool = False,
        dry_run: bool = False,
        epoch: int = 1,
        workspace: Workspace | None = None,
    ) -> None:
        if (spec.workspace is None) != (workspace is None):
            raise OutputError(
                "the robot file's workspace and the commander's do not agree; expected "
                "workspace_of(spec, urdf)"
            )
        self._spec = spec
        self._workspace = workspace
        self._gate = Gate(
            epoch=epoch,
            enabled=start_enabled,
            dry_run=dry_run,
            owners=Owners(spec.owners.priorities),
        )
        hash_ = spec_hash(spec)
        self._execution = _execution_of(spec, hash_)
        self._runs = Runs(spec, hash_, self._execution)
        arm = self._execution.arm.names
        watched = arm + tuple(g.joint for g in self._execution.grippers)
        watched += self._execution.streams.joints
        self._joints = JointWatch(
            watched,
            np.arange(len(watched)) < len(arm),
            spec.watchdogs.joint_state_max_age_ns,
            spec.max_tracking_error,
            np.append(spec.motion_limits(arm).turning, np.zeros(len(watched) - len(arm), bool)),
        )
        self._helm = Helm(spec, self._gate, self._execution, self._joints)
        self._estop = EStopWatch(None if spec.estop is None else spec.estop.max_age_ns)
        self._clock = ClockWatch(spec.watchdogs.clock_max_silence_ns)
        self._ticks = TickWatch(spec.rates.control_period_ns, spec.rates.lookahead_ns)
        self._moves = PoseMoves(spec, self._execution)
        self._steady_ns = 0

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
        return self._runs.current

    @property
    def given_away(self) -> bool:
        """Whether somebody else commands the robot."""
        return bool(self._gate.external)

    @property
    def at_rest(self) -> bool:
        """Whether nothing is commanded to move."""
        return self._helm.at_rest

    @property
    def mode(self) -> Mode:
        """What it is doing now."""
        helm = self._helm
        if self._gate.external and not helm.active:
            return "EXTERNAL"
        if self._gate.stopped and helm.at_rest:
            return "STOPPED"
        if not helm.active or (helm.released and helm.at_rest):
            return "IDLE"
        return "DRY_RUN" if self._gate.dry_run else self._execution.state

    @property
    def owner(self) -> str:
        """Who moves the robot: a run, a go_to, somebody else, or nobody (empty)."""
        if self._gate.external:
            return self._gate.external
        if self._runs.current is not None:
            return f"run {self._runs.current.hex()[:8]}"
        return f"go_to {self._moves.pose}" if self._moves.pose else ""

    @property
    def stop_reason(self) -> StopReason:
        """Kind of the stop that holds the robot, or ``none``."""
        return self._gate.stop_reason

    @property
    def stop_text(self) -> str:
        """What, expected, got, what to do; empty without a stop."""
        return self._gate.stop_text

    # Changes of hands ---------------------------------------------------------------------------

    def enable(self, flag: bool, now_ns: int) -> Refusal | None:
        """Open or close the gate; closing brakes first, opening starts from where the robot is."""
        if flag == self.enabled:
            return None
        if flag and self._joints.position is not None and not self._gate.stopped:
            refusal = self._helm.not_settled(self._steady_ns)
            if refusal is not None:
                return refusal
        self._gate.enabled = flag
        self._gate.raise_epoch()
        if flag:
            self._helm.take(now_ns)
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

    def hindered(self, why: str, now_ns: int) -> None:
        """Commands would not be followed (a controller does not run): stop if in command, and wait.

        Args:
            why: What, expected, got; empty where commands are followed.
            now_ns: ROS time, in [ns].
        """
        self._gate.unfollowed = why
        if why and self._helm.active and not self.given_away:
            self._stop_once(("tracking_error", f"{why}; mend that, then resume"), now_ns)

    def _unseen(self, why: str, now_ns: int) -> None:
        """No joint states: stop what moves; a robot that rests is let go until they are back."""
        if self.run_id is not None or self._moves.pose or not self._helm.at_rest:
            self._stop_once(("joint_state", f"{why}, then resume"), now_ns)
        elif self._helm.rested(now_ns) and not self._gate.unseen:
            self._helm.active = self._helm.released
            self._gate.unseen = why
            self._gate.raise_epoch()
            self._joints.clear()

    def _seen(self, now_ns: int) -> None:
        """A joint state came: take command; after a silence, once the robot is seen to rest."""
        if self._gate.unseen and self._joints.settled():
            self._gate.unseen = ""
        if not self._helm.active:
            self._helm.take(now_ns)

    def estop(self, pressed: bool, now_ns: int, steady_ns: int) -> None:
        """The emergency stop's topic said so; a press is latched until released and resumed."""
        self._steady_ns = max(self._steady_ns, steady_ns)
        self._estop.heard(pressed, steady_ns)
        if pressed:
            self._stop_once(self._estop.alarm(steady_ns), now_ns)

    def watch_clock(self, steady_ns: int) -> None:
        """To be called on steady time: stops where ROS time stands still while the robot moves."""
        if not self._helm.at_rest or self.run_id is not None:
            self._stop_once(self._clock.alarm(steady_ns), self._ticks.last_ns)

    def resume(self, now_ns: int) -> Refusal | None:
        """Let a stopped robot move again, from where it is. No run survives a stop."""
        if not self._gate.stopped:
            return Refusal(reason="mode", text="nothing to resume: the robot is not stopped")
        pressed = self._estop.alarm(self._steady_ns)
        if pressed is not None:
            return Refusal(reason="mode", text=f"resume refused: {pressed[1]}")
        refusal = self._helm.not_settled(self._steady_ns)
        if refusal is not None:
            return refusal
        self._gate.unlatch()
        self._gate.raise_epoch()
        self._helm.take(now_ns)
        return None

    def take_over(self, owner: str, lease_ns: int, now_ns: int, steady_ns: int) -> Refusal | None:
        """Somebody else commands the robot from now on, or goes on doing so.

        The bridge brakes and is silent once the robot rests; its mode then is EXTERNAL. It takes
        the robot back at `give_back`, or when the lease is over and the robot rests.

        Args:
            owner: A name under ``owners`` in the robot file.
            lease_ns: For how long, in [ns] of steady time; longer by asking again.
            now_ns: ROS time, in [ns].
            steady_ns: Steady time, in [ns].
        """
        before = self._gate.external
        refusal = self._gate.owners.claim(owner, lease_ns, steady_ns, self.run_id is not None)
        if refusal is None and owner != before:
            self._gate.raise_epoch()
            self._drop(now_ns)
        return refusal

    def give_back(self, owner: str, now_ns: int) -> Refusal | None:
        """Command the robot again, from where it is."""
        holder = self._gate.external
        if not holder or owner != holder:
            who = f"'{holder}' has the robot" if holder else "nobody took over"
            return Refusal(reason="mode", text=f"nothing for '{owner}' to give back: {who}")
        refusal = self._helm.not_settled(self._steady_ns)
        if refusal is not None:
            return refusal
        self._gate.owners.release()
        self._gate.raise_epoch()
        for gripper in self._execution.grippers:
            gripper.forget()
        self._helm.take(now_ns)
        return None

    def clock_jump(self, now_ns: int, steady_ns: int) -> None:
        """ROS time jumped: forget all instants; nothing is fast-forwarded.

        A robot that moves or has a run is stopped until resume; one that rests goes on holding.

        Args:
            now_ns: ROS time, in [ns].
            steady_ns: Steady time, in [ns].
        """
        last_ns = self._ticks.last_ns
        # The last tick on the new time line: what is streamed goes on from there.
        since_ns = min(self._clock.since_ns(steady_ns), self._spec.rates.control_period_ns)
        begin_ns = now_ns - since_ns
        if not self._helm.at_rest or self.run_id is not None:
            self._gate.latch(
                "clock_jump",
                f"ROS time went from {last_ns / 1e9:.3f} s to {now_ns / 1e9:.3f} s at once, "
                "expected it to pass like steady time; check who publishes /clock, or sets the "
                "computer's clock, then resume",
            )
        self._helm.doubt_time(now_ns - last_ns)
        self._gate.raise_epoch()
        self._drop(begin_ns)
        self._joints.clear()
        self._ticks.forget()
        self._helm.clock_jump(begin_ns)

    def _drop(self, now_ns: int) -> None:
        """No run and no go_to any more: brake and hold."""
        self._runs.close()
        self._moves.forget()
        self._helm.brake(now_ns)

    def _stop_once(self, alarm: Alarm | None, now_ns: int) -> None:
        """Stop, unless a stop holds the robot already."""
        if alarm is not None and not self._gate.stopped:
            self.stop(alarm[0], alarm[1], now_ns)
