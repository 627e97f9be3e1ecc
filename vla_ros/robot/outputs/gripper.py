"""One gripper behind a controller of its own; nothing ever waits for it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vla_ros.motion import TrajectoryWindow
from vla_ros.robot.outputs.gripper_shaping import GripperShaping
from vla_ros.robot.outputs.layout import OutputError
from vla_ros.robot.spec.robot import OutputSpec, RobotSpec

MIN_TRAVEL_NS = 100_000_000


class GripperOutput:
    """One gripper joint.

    Its values are shaped (see `GripperShaping`); 0 is closed. Its position is sent when the shaped
    value changes and after an activation.

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
        self._value: float | None = None
        self._told: float | None = None
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
        self._value = value
        self._due = value != self._told

    def stop(self, now_ns: int) -> None:
        """What was not told yet is not told any more."""
        self._due = False
        if self._told is not None:
            self._value = self._shaping.jump(self._told, now_ns)

    def take_up(self, measured: float, now_ns: int) -> None:
        """The bridge is in command from now on.

        What it was told is told again: the controller may have heard otherwise meanwhile. Where
        nothing was told, or somebody else had it, the first value goes on from the measured
        position.
        """
        self._due = self._told is not None
        if self._told is None:
            self._shaping.jump((measured - self._closed) / self._stroke, now_ns)

    def forget(self) -> None:
        """Somebody else has it: nothing of what it was told counts any more."""
        self._told = None

    @property
    def due(self) -> bool:
        """Whether there is something new to send."""
        return self._due

    def take(self) -> float:
        """The joint position to send now, in [rad] or [m]."""
        assert self._value is not None  # it is due
        self._due, self._told = False, self._value
        return self._closed + self._value * self._stroke

    def window(self, position: float, now_ns: int) -> TrajectoryWindow:
        """A trajectory of a single point: be there when the whole stroke would have been moved."""
        return TrajectoryWindow(
            t_ns=np.array([now_ns + self._travel_ns], dtype=np.int64),
            position=np.array([[position]]),
            velocity=np.zeros((1, 1)),
            acceleration=np.zeros((1, 1)),
        )


def grippers_of(spec: RobotSpec) -> tuple[GripperOutput, ...]:
    """One gripper output for each binary or continuous gripper slice."""
    outputs = {part.name: spec.output(part.output) for part in spec.action}
    grippers = []
    for part in spec.action_space().slices:
        if part.kind == "binary" or part.kind == "gripper":
            output = outputs[part.name]
            limit = spec.limits.get(output.joints[0])
            velocity = None if limit is None else limit.velocity
            grippers.append(GripperOutput(output, part.start, part.kind, velocity))
    return tuple(grippers)
