"""Plans being executed: the arm's motion, grippers, velocities and efforts on one time line.

At most two plans matter, the one in force and the next. Actions of two plans are never mixed here:
from its ``valid_from`` on a plan counts alone, and the seam fade takes up the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Plan
from vla_ros.motion import MotionRefused, MotionState, Setpoint
from vla_ros.motion.slider import Slider
from vla_ros.robot.command.commands import CommandedSample, Mode
from vla_ros.robot.command.outbox import Due, Outbox
from vla_ros.robot.command.streams import Streams
from vla_ros.robot.outputs.gripper import grippers_of
from vla_ros.robot.outputs.layout import ArmLayout
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.spaces.turns import continued

FloatArray = npt.NDArray[np.float64]

NO_RUN = bytes(16)


class Execution:
    """Executes plans on the outputs of one robot.

    The arm's time line runs ahead of now by the arm's actuation latency: what is due in 20 ms is
    sent now where the arm takes 20 ms to act. It passes as the robot's speed slider lets it
    (`vla_ros.motion.slider`); instants of the motion are on it, those given and handed out are ROS
    time.

    Args:
        spec: The robot file.
        spec_hash: Its hash, for the samples.

    Attributes:
        arm: Where the position columns go.
        grippers: One for each gripper slice.
        streams: What is streamed beside.
        setpoint: The last setpoint; None before the first `restart`.
        remark: What was not executed of the last plan and why; empty where all is.

    Raises:
        OutputError: The robot file has an output that cannot be driven.
        KinematicsError: It has an output of poses that its URDF does not fit.
    """

    def __init__(self, spec: RobotSpec, spec_hash: int) -> None:
        self._spec = spec
        self._hash = spec_hash
        self._period_ns = spec.rates.control_period_ns
        self._space = spec.action_space()
        self.arm = ArmLayout.of(spec)
        self.grippers = grippers_of(spec)
        self.streams = Streams(spec)
        self._motion = self.arm.motion(spec)
        self._slider = Slider(self.arm.latency_ns)
        self._outbox = Outbox(
            spec, self.arm, self._motion, self.grippers, self.streams, self._slider
        )
        self._turning = spec.motion_limits(self.arm.names).turning
        self._others = np.setdiff1d(np.arange(self._space.dim), self.arm.columns)
        self.setpoint: Setpoint | None = None
        self.remark = ""
        self._in_force: Plan | None = None
        self._pending: list[tuple[int, Plan]] = []
        self._origin_ns = 0
        self._row_delay_ns = 0

    @property
    def state(self) -> MotionState:
        """What the motion is doing."""
        state, setpoint = self._motion.state, self.setpoint
        if state == "HOLDING" and not self.at_rest:
            return "BRAKING"  # a base still rolls
        if state == "BRAKING" and setpoint is not None and not setpoint.velocity.any():
            return "HOLDING"  # until the plan just accepted begins
        return state

    @property
    def at_rest(self) -> bool:
        """Whether nothing is commanded to move."""
        return self._motion.at_rest and self.streams.at_rest

    @property
    def fault(self) -> str:
        """Why a plan could not be executed, else empty."""
        return self._motion.fault

    @property
    def finished(self) -> bool:
        """Whether the last motion asked for is done."""
        return self._motion.finished

    @property
    def brakes_alone(self) -> bool:
        """Whether the robot brakes by itself, within the limits, when nothing more is sent."""
        rolling = all(output.takes_windows for output, _ in self.arm.groups)
        return rolling and not (self.arm.whole_chunks or self.streams)

    @property
    def executing(self) -> Plan | None:
        """The plan whose row was commanded last, if one was."""
        if self.setpoint is None or not np.isfinite(self.setpoint.row):
            return None
        return self._in_force

    def brake_path(self, now_ns: int) -> FloatArray:
        """Positions of the arm should it be stopped in the next period. Shape (n, N)."""
        return self._motion.brake_path(self._slider.ahead(now_ns))

    def left_ns(self, now_ns: int) -> int:
        """How long the plans at hand last, in [ns]."""
        ends = [plan.end_ns for _, plan in self._pending]
        if self._in_force is not None:
            ends.append(self._in_force.end_ns)
        return max(0, max(ends) + self._row_delay_ns - self._slider.at(now_ns)) if ends else 0

    def restart(
        self, position: FloatArray, now_ns: int, streamed: FloatArray | None = None
    ) -> None:
        """Forget everything and hold, at rest.

        Args:
            position: Of the arm. Shape (N,).
            now_ns: ROS time, in [ns].
            streamed: Of the streams' joints, see `Streams.reset`. Shape (M,).
        """
        self._forget_plans()
        self._slider.restart(now_ns)
        self._origin_ns = self._slider.ahead(now_ns)
        self._motion.reset(position, self._origin_ns)
        self.streams.reset(now_ns, streamed)
        still = np.zeros(len(position))
        self.setpoint = Setpoint(
            t_ns=self._origin_ns,
            position=position,
            velocity=still,
            acceleration=still,
            row=float("nan"),
            stretch=1.0,
            limited=np.zeros(len(position), dtype=np.uint8),
            reference=position,
        )

    def stop(self, now_ns: int) -> None:
        """Brake from the last commanded state; velocities to zero, grippers keep."""
        self._forget_plans()
        for gripper in self.grippers:
            gripper.stop(now_ns)
        self._motion.stop(self._slider.ahead(now_ns))
        self.streams.stop(now_ns)

    def clock_jump(self, now_ns: int) -> None:
        """ROS time jumped: hold, or brake from the commanded state, on the new time line."""
        if self.setpoint is not None and self.at_rest:
            self.restart(self.setpoint.position, now_ns)
        else:
            self._slider.restart(now_ns)
            self.stop(now_ns)
            self._origin_ns = self._slider.ahead(now_ns)

    def first_step(self, plan: Plan, now_ns: int) -> tuple[float, str]:
        """How far the plan's first executed row is from the commanded position, and which joint."""
        if self.setpoint is None or not self.arm.names:
            return 0.0, ""
        plan = self._executable(plan, now_ns)
        entry_ns = max(plan.valid_from_ns, self._slider.ahead(now_ns) + self._period_ns)
        row = float(np.clip(plan.row_at(entry_ns), 0.0, plan.horizon - 1))
        low = int(row)
        high = min(low + 1, plan.horizon - 1)
        rows = plan.actions[:, self.arm.columns]
        rows = continued(rows, self._turning, self.setpoint.position, low)
        step = np.abs(rows[low] + (row - low) * (rows[high] - rows[low]) - self.setpoint.position)
        worst = int(np.argmax(step))
        return float(step[worst]), self.arm.names[worst]

    def accept(self, plan: Plan, now_ns: int) -> None:
        """Execute a plan from its ``valid_from`` on.

        Raises:
            MotionRefused: It cannot be executed. What is in force stays, but a stream that took it
                stops.
        """
        plan = self._executable(plan, now_ns)
        self.streams.accept(plan, now_ns)
        try:
            self._motion.accept(
                plan.start_ns,
                plan.dt_ns,
                plan.valid_from_ns,
                plan.actions[:, self.arm.columns],
                plan.interpolation,
                self._slider.ahead(now_ns),
            )
        except MotionRefused:
            self.streams.stop(now_ns)
            raise
        switch_ns = self._switch_ns(plan, now_ns)
        self._pending = [item for item in self._pending if item[0] < switch_ns]
        self._pending.append((switch_ns, plan))

    def slid(self, factor: float, now_ns: int) -> None:
        """From now on the robot executes ``factor`` times as fast as it is told, 0 to 1."""
        self._slider.slid(factor, now_ns)

    def go_to(self, target: Mapping[str, float], speed: float, now_ns: int) -> int:
        """Move the named joints to ``target``; the others stay.

        Returns:
            How long it takes, in [ns].

        Raises:
            MotionRefused: Out of limits, or no such speed.
        """
        assert self.setpoint is not None  # the commander is active
        held = zip(self.arm.names, self.setpoint.position, strict=True)
        position = np.array([target.get(name, at) for name, at in held], dtype=np.float64)
        duration_s = self._motion.go_to(position, self._slider.ahead(now_ns), speed)
        for gripper in self.grippers:
            if gripper.joint in target:
                gripper.set_position(target[gripper.joint], now_ns)
        self._forget_plans()
        return round(duration_s * 1e9)

    def advance(self, now_ns: int) -> Setpoint:
        """Go on to ``now_ns``: what is commanded now."""
        moved = self._motion.advance(self._slider.ahead(now_ns))
        setpoint = replace(moved, t_ns=moved.t_ns + self._slider.behind_ns(now_ns))
        self.setpoint = setpoint
        while self._pending and self._tick_ns(now_ns) >= self._pending[0][0]:
            self._in_force = self._pending.pop(0)[1]
            self._outbox.hurry_arm()
        plan = self.executing
        self.streams.advance(now_ns)
        if plan is not None:
            delay_ns = round((plan.row_at(moved.t_ns) - _stamp_row(setpoint, plan)) * plan.dt_ns)
            self._row_delay_ns = max(0, delay_ns)
            for gripper in self.grippers:
                row = self._row(setpoint, plan, gripper.spec.latency_ns)
                value = plan.actions[min(int(row), plan.horizon - 1), gripper.column]
                gripper.set(float(value), now_ns)
        return setpoint

    def due(self, now_ns: int) -> Due:
        """What to send now."""
        assert self.setpoint is not None  # the commander is active
        return self._outbox.due(self.setpoint.position, now_ns)

    def preview(self, now_ns: int) -> Due:
        """The arm's trajectories with what was just accepted, ahead of their turn."""
        return self._outbox.preview(now_ns)

    def halt(self, now_ns: int) -> Due:
        """The bridge did not run for longer than a window lasts: what makes the rest stand still.

        Robots that play a window have braked by themselves, a position that was streamed holds.
        """
        self.streams.reset(now_ns)
        return Due(values=self.streams.values())

    def sample(self, mode: Mode, epoch: int, measured: FloatArray) -> CommandedSample:
        """What is commanded now.

        Args:
            mode: What the bridge is doing.
            epoch: Of the bridge.
            measured: Positions of the gripper joints, for those never commanded yet. Shape (G,).
        """
        setpoint, plan = self.setpoint, self.executing
        assert setpoint is not None  # the commander is active
        action = np.zeros(self._space.dim)
        action[self.arm.columns] = setpoint.position
        for gripper, at in zip(self.grippers, measured, strict=True):
            action[gripper.column] = gripper.value_or(float(at))
        self.streams.write(action)
        reference = action.copy()
        reference[self.arm.columns] = setpoint.reference
        if plan is not None:
            row = min(int(_stamp_row(setpoint, plan)), plan.horizon - 1)
            reference[self._others] = plan.actions[row, self._others]
            self.streams.write_reference(reference)
        limited = np.zeros(self._space.dim, dtype=np.uint8)
        limited[self.arm.columns] = setpoint.limited
        for values in (action, reference, limited):
            values.setflags(write=False)
        return CommandedSample(
            stamp_ns=setpoint.t_ns,
            run_id=plan.run_id if plan is not None else NO_RUN,
            epoch=epoch,
            chunk_seq=plan.seq if plan is not None else 0,
            chunk_row=_stamp_row(setpoint, plan) if plan is not None else float("nan"),
            spec_hash=self._hash,
            mode=mode,
            action=action,
            reference=reference,
            velocity=setpoint.velocity,
            acceleration=setpoint.acceleration,
            limited=limited,
            time_scale=self._slider.factor / setpoint.stretch,
            deviation=float(np.abs(action - reference).max(initial=0.0)),
        )

    def _executable(self, plan: Plan, now_ns: int) -> Plan:
        """The plan as the joints execute it, on the arm's time.

        Raises:
            MotionRefused: They cannot.
        """
        at = self._slider.at
        return replace(plan, start_ns=at(plan.start_ns), valid_from_ns=at(plan.valid_from_ns))

    def _forget_plans(self) -> None:
        self._in_force = None
        self._pending = []
        self._row_delay_ns = 0
        self._outbox.hurry()

    def _row(self, setpoint: Setpoint, plan: Plan, latency_ns: int) -> float:
        """The row to send now to an output with its own latency."""
        ahead_ns = latency_ns - self.arm.latency_ns
        ahead = self._slider.factor * ahead_ns / (plan.dt_ns * setpoint.stretch)
        return max(0.0, _stamp_row(setpoint, plan) + ahead)

    def _switch_ns(self, plan: Plan, now_ns: int) -> int:
        """When the motion begins a plan: at the first instant of its grid from then on."""
        next_tick_ns = self._tick_ns(now_ns) + self._period_ns
        begin_ns = max(plan.valid_from_ns, plan.start_ns) + self._period_ns - 1 - self._origin_ns
        begin_ns = self._origin_ns + begin_ns // self._period_ns * self._period_ns
        return max(next_tick_ns, begin_ns)

    def _tick_ns(self, now_ns: int) -> int:
        """The last instant of the motion's grid at or before now."""
        since_ns = self._slider.ahead(now_ns) - self._origin_ns
        return self._origin_ns + since_ns // self._period_ns * self._period_ns


def _stamp_row(setpoint: Setpoint, plan: Plan) -> float:
    """The row as the plan's stamps count it; the motion passes a held row in its middle."""
    return setpoint.row + (0.5 if plan.interpolation == "hold" else 0.0)
