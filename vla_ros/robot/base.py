"""A mobile base behind a twist controller."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Plan
from vla_ros.motion.twist import VelocityMotion
from vla_ros.robot.spec import TWIST_AXES, OutputSpec, RobotSpec

FloatArray = npt.NDArray[np.float64]


class BaseOutput:
    """One base: its velocity rows are integrals, executed by `VelocityMotion`.

    Args:
        spec: The output, with limits for each axis.
        columns: Its part of the action vector.
        period_ns: Control period, in [ns].

    Attributes:
        velocity: What is commanded, in the order of the output's axes. Shape (D,).
    """

    def __init__(self, spec: OutputSpec, columns: slice, period_ns: int) -> None:
        self.spec = spec
        self.columns = columns
        limits = [spec.limits[axis] for axis in spec.joints]
        self._motion = VelocityMotion(
            spec.joints,
            np.array([limit.velocity for limit in limits], dtype=np.float64),
            np.array([limit.acceleration for limit in limits], dtype=np.float64),
            period_ns,
        )
        self.velocity: FloatArray = np.zeros(len(limits))

    @property
    def at_rest(self) -> bool:
        """Whether the base is commanded to stand still."""
        return self._motion.at_rest

    def reset(self, now_ns: int) -> None:
        """Stand still at once."""
        self._motion.reset(now_ns)
        self.velocity = np.zeros_like(self.velocity)

    def accept(self, plan: Plan, now_ns: int) -> None:
        """Execute a plan, early by the output's latency.

        Raises:
            MotionRefused: It cannot be executed; the plan in force stays.
        """
        self._motion.accept(
            plan.start_ns - self.spec.latency_ns,
            plan.dt_ns,
            plan.valid_from_ns,
            plan.actions[:, self.columns],
            now_ns,
        )

    def stop(self, now_ns: int) -> None:
        """Brake within the limits."""
        self._motion.stop(now_ns)

    def advance(self, now_ns: int) -> None:
        """Go on by one control period."""
        self.velocity = self._motion.advance(now_ns).velocity

    def twist(self) -> tuple[float, float, float]:
        """The velocity as (x [m/s], y [m/s], yaw [rad/s]); axes that are not driven are zero."""
        named = dict(zip(self.spec.joints, self.velocity, strict=True))
        x, y, yaw = (float(named.get(axis, 0.0)) for axis in TWIST_AXES)
        return x, y, yaw


def base_outputs_of(spec: RobotSpec) -> tuple[BaseOutput, ...]:
    """One base output for each velocity slice that goes to a twist."""
    outputs = {part.name: spec.output(part.output) for part in spec.action}
    return tuple(
        BaseOutput(outputs[part.name], part.indices, spec.rates.control_period_ns)
        for part in spec.action_space().slices
        if outputs[part.name].is_twist
    )
