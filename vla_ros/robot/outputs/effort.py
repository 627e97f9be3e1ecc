"""Efforts behind one forward command controller. Nothing but their size is limited here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Plan
from vla_ros.motion import MotionRefused
from vla_ros.robot.spec.robot import JointLimits, OutputSpec, RobotSpec

FloatArray = npt.NDArray[np.float64]


class EffortOutput:
    """One effort slice: the row that is due, within the joints' effort limits.

    When no plan is due, at every stop among others, it is zero, or with ``on_stop: hold`` nothing
    is sent and the controller keeps what it heard last.

    Args:
        spec: The output.
        limits: Of each joint, in order, with an effort.
        columns: Its part of the action vector.

    Attributes:
        spec: As given.
        columns: As given.
        joints: Joints that are commanded.
        values: What is commanded, in [N m] or [N]. Shape (D,).

    Raises:
        MotionRefused: A joint has no effort limit.
    """

    def __init__(self, spec: OutputSpec, limits: tuple[JointLimits, ...], columns: slice) -> None:
        if any(limit.effort is None for limit in limits):
            raise MotionRefused(f"every joint of '{spec.name}' needs limits with an effort")
        self.spec = spec
        self.columns = columns
        self.joints = spec.joints
        self._limits = limits
        self._most = np.array([limit.effort for limit in limits], dtype=np.float64)
        self._plan: Plan | None = None
        self._next: Plan | None = None
        self.values: FloatArray = np.zeros(len(limits))

    @property
    def at_rest(self) -> bool:
        """Whether no plan asks for anything."""
        return self._plan is None and self._next is None

    @property
    def sends(self) -> bool:
        """Whether there is anything to send."""
        return self.spec.on_stop == "zero" or self._plan is not None

    @property
    def action(self) -> FloatArray:
        """What is commanded, in the action vector's order."""
        return self.values

    def reset(self, now_ns: int, position: FloatArray) -> None:
        """Forget the plans, wherever the joints are."""
        self.stop(now_ns)

    def accept(self, plan: Plan, now_ns: int) -> None:
        """Execute a plan from its ``valid_from`` on, early by the output's latency."""
        self._next = plan

    def stop(self, now_ns: int) -> None:
        """No plan any more: zero, or as it is."""
        self._plan = self._next = None
        if self.spec.on_stop == "zero":
            self.values = np.zeros_like(self.values)

    def advance(self, now_ns: int) -> None:
        """Go on to ``now_ns``."""
        t_ns = now_ns + self.spec.latency_ns
        if self._next is not None and t_ns >= max(self._next.valid_from_ns, self._next.start_ns):
            self._plan, self._next = self._next, None
        plan = self._plan
        if plan is None:
            return
        row = max(0.0, plan.row_at(t_ns))
        if row >= plan.horizon:
            self._plan = None
            if self.spec.on_stop == "zero":
                self.values = np.zeros_like(self.values)
            return
        rows = plan.actions[:, self.columns]
        low = int(row)
        values = rows[low]
        if plan.interpolation == "linear":
            values = values + (row - low) * (rows[min(low + 1, plan.horizon - 1)] - values)
        self.values = np.clip(values, -self._most, self._most)

    def breach(self, position: FloatArray) -> str:
        """Which joint is outside its range and pushed further out, else empty.

        Args:
            position: Measured, of `joints`. Shape (D,).
        """
        for joint, at, effort, limit in zip(
            self.joints, position, self.values, self._limits, strict=True
        ):
            if limit.leaves(at, effort):
                return (
                    f"{joint} is at {at:.3f}, outside [{limit.lower}, {limit.upper}], and pushed "
                    "further; resume, then send it back"
                )
        return ""


def effort_outputs_of(spec: RobotSpec) -> tuple[EffortOutput, ...]:
    """One output for each effort slice."""
    outputs = {part.name: spec.output(part.output) for part in spec.action}
    return tuple(
        EffortOutput(
            outputs[part.name],
            tuple(spec.limits[joint] for joint in outputs[part.name].joints),
            part.indices,
        )
        for part in spec.action_space().slices
        if part.kind == "effort"
    )
