"""Whether the bridge commands the robot, and from where it does.

It takes the helm where the robot is measured to be, brakes where it lets go, and says nothing any
more once nobody is in command and what it sent last has been played to its end.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vla_ros.chunks import Refusal
from vla_ros.motion import MotionRefused
from vla_ros.robot.command.execution import Execution
from vla_ros.robot.command.gate import Gate
from vla_ros.robot.command.joint_watch import JointWatch
from vla_ros.robot.command.outbox import Due
from vla_ros.robot.command.watchdogs import RestWatch
from vla_ros.robot.spec.robot import RobotSpec


class Helm:
    """Takes command and lets go.

    Args:
        spec: The robot file.
        gate: Whether anything may move.
        execution: What moves.
        joints: Where the robot is.

    Attributes:
        active: Whether positions are commanded, in motion or at rest.
        released: Whether the robot is left to its own controllers once it rests.
    """

    def __init__(
        self, spec: RobotSpec, gate: Gate, execution: Execution, joints: JointWatch
    ) -> None:
        self._gate = gate
        self._execution = execution
        self._joints = joints
        self._rest = RestWatch(spec.rates.lookahead_ns)
        self._arm_size = len(execution.arm.names)
        self._max_moved = spec.max_tracking_error
        limits = spec.motion_limits(execution.arm.names)
        brake_s = limits.velocity / limits.acceleration + limits.acceleration / limits.jerk
        self._window_ns = spec.rates.lookahead_ns + round(brake_s.max(initial=0.0) * 1e9)
        self._astray = self._withheld = False
        self.active = False
        self.released = False

    @property
    def at_rest(self) -> bool:
        """Whether nothing is commanded to move."""
        return not self.active or self._execution.at_rest

    def take(self, now_ns: int) -> None:
        """Command from where the robot is, if everything allows it."""
        measured = self._joints.position
        self.active = measured is not None and not self._gate.closed
        if measured is None or not self.active:
            return
        self.released = self._astray = self._withheld = False
        self._rest.restart()
        self._joints.restart()
        try:
            streamed = measured[len(measured) - len(self._execution.streams.joints) :]
            self._execution.restart(measured[: self._arm_size], now_ns, streamed)
        except MotionRefused as error:
            self.active = False
            self._gate.latch("motion", str(error))
            return
        for i, gripper in enumerate(self._execution.grippers, self._arm_size):
            gripper.take_up(float(measured[i]), now_ns)

    def take_back(self) -> None:
        """Command again after a release; from the measured position where the arm was moved."""
        measured, setpoint = self._joints.position, self._execution.setpoint
        released, self.released = self.released, False
        self._rest.restart()
        if not (released and self.active) or measured is None or setpoint is None:
            return
        moved = np.abs(measured[: self._arm_size] - setpoint.position).max(initial=0.0)
        streamed = measured[len(measured) - len(self._execution.streams.joints) :]
        moved = max(moved, self._execution.streams.astray(streamed, setpoint.t_ns)[0])
        if moved > self._max_moved and not self._gate.dry_run:
            self.take(setpoint.t_ns)

    def brake(self, now_ns: int) -> None:
        """To rest within the limits, and hold."""
        if self.active:
            self._execution.stop(now_ns)

    def clock_jump(self, now_ns: int) -> None:
        """ROS time jumped: on a new time line."""
        self._rest.restart()
        if self.active:
            self._execution.clock_jump(now_ns)

    def doubt_time(self, jump_ns: int) -> None:
        """ROS time jumped by this much: in motion, let the last window end in its brake.

        The controller's own time may not have jumped. A window from the future would then lead it
        past everything on its slow way there, one from the recent past would be a step. One from
        long ago is refused by such a controller, and keeps one whose time went back as well from
        playing the rest of the last window later; so that one is sent. Where the robot rests then
        is known at the next `take`.
        """
        self._astray |= not self.at_rest
        if self._astray and jump_ns > -self._window_ns:
            self._withheld = not self._execution.arm.whole_chunks  # they have no brake at the end

    def due(self, now_ns: int) -> Due:
        """What to send now."""
        due = self._execution.due(now_ns)
        return replace(due, windows=[]) if self._withheld else due

    def note(self, now_ns: int) -> None:
        """Take note of a tick; a robot that is somebody else's or disabled is left alone once it
        rests.
        """
        self._rest.note(self._execution.at_rest, now_ns)
        given_away = self._gate.external or not self._gate.enabled
        if given_away and self.silent(now_ns):
            self.active = False

    def silent(self, now_ns: int) -> bool:
        """Whether nobody is in command and the last window has been played to its end."""
        return (self._gate.closed or self.released) and self.rested(now_ns)

    def rested(self, now_ns: int) -> bool:
        """Whether it has rested until everything sent was played to its end."""
        return self._rest.over(now_ns)

    def not_settled(self, steady_ns: int) -> Refusal | None:
        """Why it cannot be taken from where the robot is now, if it cannot."""
        if not self._joints.fresh(steady_ns):
            return Refusal(
                reason="no_state", text="no fresh joint state; check the robot driver first"
            )
        if not self.at_rest or not self._joints.settled():
            return Refusal(
                reason="not_settled", text="the robot still moves; wait until it rests, then retry"
            )
        return None
