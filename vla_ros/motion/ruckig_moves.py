"""Moves that Ruckig plans: stop, go to rest at a position, meet a moving target.

Ruckig (Berscheid and Kroeger, RSS 2021) finds the time-optimal, jerk-limited profile between two
states. It is used where there is no path to keep; plans are not chased with it.

Axis letters: N joints, n samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ruckig import (
    ControlInterface,
    InputParameter,
    Ruckig,
    RuckigError,
    Synchronization,
    Trajectory,
)

from vla_ros.motion.limits import FloatArray, MotionLimits, MotionRefused


@dataclass(frozen=True, kw_only=True, eq=False)
class Move:
    """A planned move from one state to another.

    Attributes:
        duration_s: In [s].
    """

    duration_s: float
    trajectory: Trajectory

    def sample(self, t_s: FloatArray) -> FloatArray:
        """Position, velocity and acceleration at times ``t_s`` (n,) since its start. Shape (3,
        n, N).
        """
        at_time = self.trajectory.at_time
        return np.array([at_time(t) for t in t_s.tolist()]).swapaxes(0, 1)

    def on_grid(self, period_s: float) -> FloatArray:
        """Every ``period_s`` from its start to rest, the last sample with exactly no motion left.

        Returns:
            Shape (3, n, N), n at least 2.
        """
        count = max(1, int(np.ceil(self.duration_s / period_s - 1e-9)))
        samples = self.sample(np.arange(count + 1, dtype=np.float64) * period_s)
        samples[1:, -1] = 0.0
        return samples


class Mover:
    """Plans moves of one group of joints within its limits."""

    def __init__(self, limits: MotionLimits) -> None:
        self._ruckig = Ruckig(limits.size)
        self._stop = self._input(limits)
        self._stop.control_interface = ControlInterface.Velocity
        self._stop.synchronization = Synchronization.No
        self._stop.target_velocity = [0.0] * limits.size
        self._stop.target_acceleration = [0.0] * limits.size
        self._move = self._input(limits)

    @staticmethod
    def _input(limits: MotionLimits) -> InputParameter:
        request = InputParameter(limits.size)
        request.max_velocity = limits.velocity.tolist()
        request.max_acceleration = limits.acceleration.tolist()
        request.max_jerk = limits.jerk.tolist()
        return request

    def stop(self, state: FloatArray) -> Move:
        """To rest as soon as possible, each joint for itself.

        Args:
            state: Position, velocity, acceleration. Shape (3, N).

        Raises:
            MotionRefused: Ruckig finds no profile (a state that is not finite).
        """
        move = self._plan(self._stop, state)
        if move is None:
            raise MotionRefused(
                f"Ruckig finds no stop from position, velocity, acceleration {state.tolist()}."
            )
        return move

    def to(self, state: FloatArray, target: FloatArray, at_least_s: float = 0.0) -> Move | None:
        """To the target state, all joints arriving together; None where no profile exists.

        Args:
            state: Position, velocity, acceleration. Shape (3, N).
            target: The same of the target. Shape (3, N).
            at_least_s: Shortest duration, in [s].
        """
        request = self._move
        request.target_position, request.target_velocity, request.target_acceleration = (
            target.tolist()
        )
        request.minimum_duration = at_least_s if at_least_s > 0.0 else None
        return self._plan(request, state)

    def _plan(self, request: InputParameter, state: FloatArray) -> Move | None:
        request.current_position, request.current_velocity, request.current_acceleration = (
            state.tolist()
        )
        trajectory = Trajectory(len(state[0]))
        try:
            self._ruckig.calculate(request, trajectory)
        except (RuckigError, ValueError):  # ValueError: a result code that the binding lacks
            return None
        return Move(duration_s=trajectory.duration, trajectory=trajectory)
