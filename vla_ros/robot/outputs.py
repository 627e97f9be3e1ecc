"""From action columns to controllers: which columns go where, grippers, robots without an arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Interpolation
from vla_ros.errors import VlaError
from vla_ros.motion import MotionState, Setpoint, TrajectoryWindow
from vla_ros.robot.gripper_shaping import GripperShaping
from vla_ros.robot.spec import OutputSpec, RobotSpec

FloatArray = npt.NDArray[np.float64]

MIN_TRAVEL_NS = 100_000_000


class OutputError(VlaError):
    """An output of the robot file that the bridge cannot drive."""


@dataclass(frozen=True, kw_only=True)
class ArmLayout:
    """Where the position columns go. They move as one group, so that all arms stay in step.

    Attributes:
        columns: Their places in the action vector. Shape (N,).
        names: Joint names, in that order.
        groups: For each controller of joint positions its output and its part of the N columns.
        latency_ns: Actuation latency of the group, the largest of its outputs, in [ns].
    """

    columns: npt.NDArray[np.int64]
    names: tuple[str, ...]
    groups: tuple[tuple[OutputSpec, slice], ...]
    latency_ns: int

    @classmethod
    def of(cls, spec: RobotSpec) -> ArmLayout:
        """Read the layout from a robot file.

        Raises:
            OutputError: A slice goes to a controller, or is of a kind, that cannot be driven.
        """
        columns: list[int] = []
        names: list[str] = []
        groups: list[tuple[OutputSpec, slice]] = []
        for part in spec.action_space().slices:
            output = _output(spec, part.name)
            streamed = output.controller == "forward_position" and part.kind == "position"
            if part.kind not in ("position", "binary", "gripper", "velocity") or not (
                output.controller == "joint_trajectory" or output.is_twist or streamed
            ):
                raise OutputError(
                    f"action slice '{part.name}' ({part.kind} to {output.controller}) cannot be "
                    "driven; expected position, binary or gripper to joint_trajectory, position to "
                    "forward_position, or velocity to twist_stamped or twist. Use such a controller"
                )
            if part.kind == "position":
                groups.append((output, slice(len(columns), len(columns) + len(part.names))))
                columns += range(part.start, part.stop)
                names += output.joints
        return cls(
            columns=np.array(columns, dtype=np.int64),
            names=tuple(names),
            groups=tuple(groups),
            latency_ns=max((output.latency_ns for output, _ in groups), default=0),
        )

    def windows(self, window: TrajectoryWindow) -> list[tuple[str, TrajectoryWindow]]:
        """Cut the group's window into one for each controller, sent early by the latency."""
        return [
            (
                output.name,
                TrajectoryWindow(
                    t_ns=window.t_ns - self.latency_ns,
                    position=window.position[:, part],
                    velocity=window.velocity[:, part],
                    acceleration=window.acceleration[:, part],
                ),
            )
            for output, part in self.groups
            if output.controller == "joint_trajectory"
        ]

    def positions(self, position: FloatArray) -> list[tuple[str, FloatArray]]:
        """Cut the group's position (N,) into one for each controller that is streamed to."""
        return [
            (output.name, position[part])
            for output, part in self.groups
            if output.controller == "forward_position"
        ]


class GripperOutput:
    """One gripper joint behind a joint trajectory controller.

    Its values are shaped (see `GripperShaping`); 0 is closed. A single-point trajectory is sent
    when the shaped value changes and after an activation; nothing waits for the gripper.

    Args:
        spec: The output.
        column: Its place in the action vector.
        kind: ``binary`` or ``gripper`` (continuous).
        max_velocity: Of its joint, in [rad/s] or [m/s]; None where the robot file has none.
    """

    def __init__(
        self,
        spec: OutputSpec,
        column: int,
        kind: Literal["binary", "gripper"],
        max_velocity: float | None,
    ) -> None:
        if spec.closed_position is None or spec.open_position is None:
            raise OutputError(f"gripper output '{spec.name}' needs closed_position, open_position")
        self.spec = spec
        self.column = column
        self.joint = spec.joints[0]
        self._shaping = GripperShaping(spec.gripper, kind)
        self._closed = spec.closed_position
        self._stroke = spec.open_position - spec.closed_position
        travel_s = abs(self._stroke) / max_velocity if max_velocity else 0.0
        self._travel_ns = max(MIN_TRAVEL_NS, round(travel_s * 1e9))
        self._sent: float | None = None
        self._due = False

    def value_or(self, measured: float) -> float:
        """The commanded value; before any, what the measured position amounts to."""
        if self._shaping.value is not None:
            return self._shaping.value
        return self._shaping.first((measured - self._closed) / self._stroke)

    def set_position(self, position: float, now_ns: int) -> None:
        """Command the value that a joint position amounts to (a named pose)."""
        self._tell(self._shaping.jump((position - self._closed) / self._stroke, now_ns))

    def set(self, value: float, now_ns: int) -> None:
        """Command a value of the action vector."""
        self._tell(self._shaping(value, now_ns))

    def _tell(self, value: float) -> None:
        if value != self._sent:
            self._sent = value
            self._due = True

    def republish(self) -> None:
        """Send the value again: the controller may have been told otherwise meanwhile."""
        self._due = self._sent is not None

    def window(self, now_ns: int) -> TrajectoryWindow | None:
        """The trajectory to send now, if any."""
        if not self._due or self._sent is None:
            return None
        self._due = False
        return TrajectoryWindow(
            t_ns=np.array([now_ns + self._travel_ns], dtype=np.int64),
            position=np.array([[self._closed + self._sent * self._stroke]]),
            velocity=np.zeros((1, 1)),
            acceleration=np.zeros((1, 1)),
        )


def grippers_of(spec: RobotSpec) -> tuple[GripperOutput, ...]:
    """One gripper output for each binary or continuous gripper slice."""
    grippers = []
    for part in spec.action_space().slices:
        if part.kind == "binary" or part.kind == "gripper":
            output = _output(spec, part.name)
            limit = spec.limits.get(output.joints[0])
            velocity = None if limit is None else limit.velocity
            grippers.append(GripperOutput(output, part.start, part.kind, velocity))
    return tuple(grippers)


class NoJoints:
    """Stands in for `JointMotion` on a robot without position-controlled joints.

    It only keeps the time line: which row of the plan in force is due.
    """

    fault = ""
    at_rest = True
    finished = True

    def __init__(self) -> None:
        self.state: MotionState = "HOLDING"
        self._plans: list[tuple[int, int, int, int]] = []

    def reset(self, q: FloatArray, now_ns: int) -> None:
        """Forget the plans."""
        self.stop(now_ns)

    def accept(
        self,
        start_ns: int,
        dt_ns: int,
        valid_from_ns: int,
        positions: FloatArray,
        interpolation: Interpolation,
        now_ns: int,
    ) -> None:
        """Execute a plan of T rows without columns from ``valid_from_ns`` on."""
        self._plans = [*self._plans[:1], (valid_from_ns, start_ns, dt_ns, len(positions))]

    def stop(self, now_ns: int) -> None:
        """Forget the plans."""
        self._plans = []
        self.state = "HOLDING"

    def go_to(self, q: FloatArray, now_ns: int, speed: float) -> float:
        """Nothing to move: done at once."""
        return 0.0

    def advance(self, now_ns: int) -> Setpoint:
        """The row due now."""
        if len(self._plans) == 2 and now_ns >= self._plans[1][0]:
            self._plans = self._plans[1:]
        row = float("nan")
        if self._plans:
            valid_from_ns, start_ns, dt_ns, rows = self._plans[0]
            if max(valid_from_ns, start_ns) <= now_ns < start_ns + rows * dt_ns:
                row = (now_ns - start_ns) / dt_ns
        self.state = "HOLDING" if np.isnan(row) else "TRACKING"
        none = np.zeros(0)
        return Setpoint(
            t_ns=now_ns,
            position=none,
            velocity=none,
            acceleration=none,
            row=row,
            stretch=1.0,
            limited=np.zeros(0, dtype=np.uint8),
            reference=none,
        )

    def brake_path(self, now_ns: int) -> FloatArray:
        """Nothing moves."""
        return np.zeros((1, 0))

    def window(self, now_ns: int, lookahead_ns: int, spacing_ns: int) -> TrajectoryWindow:
        """One point without joints; no output takes it."""
        none = np.zeros((1, 0))
        return TrajectoryWindow(
            t_ns=np.array([now_ns], dtype=np.int64), position=none, velocity=none, acceleration=none
        )


def _output(spec: RobotSpec, slice_name: str) -> OutputSpec:
    by_name = {part.name: part.output for part in spec.action}
    return spec.output(by_name[slice_name])
