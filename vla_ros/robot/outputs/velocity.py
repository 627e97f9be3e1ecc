"""Velocities behind one controller: a mobile base, an end effector under MoveIt Servo, joints."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Plan
from vla_ros.motion.twist import VelocityMotion
from vla_ros.robot.spec.robot import JointLimits, OutputSpec, RobotSpec

FloatArray = npt.NDArray[np.float64]


class VelocityOutput:
    """One velocity slice: its rows are integrals, executed by `VelocityMotion`.

    Args:
        spec: The output.
        limits: Of each axis or joint, in order, with velocity and acceleration.
        columns: Its part of the action vector.
        period_ns: Control period, in [ns].

    Attributes:
        spec: As given.
        columns: As given.
        joints: Joints that are commanded; none for a twist.
        sends: Whether there is anything to send; always.
        values: What is commanded, in the order of the output's axes or joints. Shape (D,).
    """

    sends = True

    def __init__(
        self, spec: OutputSpec, limits: tuple[JointLimits, ...], columns: slice, period_ns: int
    ) -> None:
        self.spec = spec
        self.columns = columns
        self.joints = () if spec.is_twist else spec.joints
        self._limits = limits
        self._ahead_s = 1e-9 * (spec.latency_ns + 2 * period_ns)
        self._motion = VelocityMotion(
            spec.joints,
            np.array([limit.velocity for limit in limits], dtype=np.float64),
            np.array([limit.acceleration for limit in limits], dtype=np.float64),
            period_ns,
        )
        self.values: FloatArray = np.zeros(len(limits))

    @property
    def at_rest(self) -> bool:
        """Whether it is commanded to stand still."""
        return self._motion.at_rest

    @property
    def action(self) -> FloatArray:
        """What is commanded, in the action vector's order."""
        return self.values

    def reset(self, now_ns: int, position: FloatArray) -> None:
        """Stand still at once, wherever that is."""
        self._motion.reset(now_ns)
        self.values = np.zeros_like(self.values)

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
        self.values = self._motion.advance(now_ns).velocity

    def breach(self, position: FloatArray) -> str:
        """Which joint would leave its range though it braked from now on, else empty.

        Args:
            position: Measured, of `joints`. Shape (D,), or (0,) for a twist.
        """
        for joint, at, speed, limit in zip(
            self.joints, position, self.values, self._limits, strict=False
        ):
            assert limit.acceleration is not None  # the spec has seen to it
            end = at + speed * self._ahead_s + speed * abs(speed) / (2.0 * limit.acceleration)
            if limit.leaves(end, speed):
                return (
                    f"{joint} is at {at:.3f} and moves at {speed:.3f} per second: it would leave "
                    f"[{limit.lower}, {limit.upper}]; resume, then send it back"
                )
        return ""


def velocity_outputs_of(spec: RobotSpec) -> tuple[VelocityOutput, ...]:
    """One output for each velocity slice."""
    outputs = {part.name: spec.output(part.output) for part in spec.action}
    made = []
    for part in spec.action_space().slices:
        if part.kind == "velocity":
            output = outputs[part.name]
            limits = output.axis_limits if output.is_twist else spec.limits
            bounds = tuple(limits[name] for name in output.joints)
            made.append(VelocityOutput(output, bounds, part.indices, spec.rates.control_period_ns))
    return tuple(made)
