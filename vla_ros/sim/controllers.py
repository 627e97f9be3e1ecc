"""What ros2_control's JointTrajectoryController does with the messages it gets.

The rules are those of the controller's documentation and source (ros2_controllers 4.42.1, Jazzy):

* A message replaces the one before at once; there is no splicing. A refused message changes
  nothing: the old trajectory plays on.
* Stamp 0 starts at the first update that samples the message. A stamp in the past is fine while
  the last point is not in the past.
* Before the first point the motion goes from the *measured* state at the first update
  (`interpolate_from_desired_state: false`) to the first point; a message whose first point is
  already past never looks at the measured state. The way there is a line, a cubic or a quintic as
  in the rest of the message; a quintic begins with acceleration 0, which is not measured.
* ``speed_scaling``: the trajectory's time passes that much slower from the first sample on; at each
  message it is the clock's time again.
* Positions only are joined by lines, with velocities by cubics, with accelerations too by
  quintics. After the last point that point is held.
* Refused whole: no points, a joint missing, unknown or twice, times that do not increase, a
  velocity at the end that is not zero, an end in the past.

Stricter than the controller, which would do something terrible instead: numbers that are not finite
(it passes them on) and accelerations without velocities (it commands position 0) are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.motion import TrajectoryWindow

Array = npt.NDArray[np.float64]

_END_VELOCITY = float(np.finfo(np.float32).eps)


class TrajectoryRefused(VlaError):
    """A trajectory message that the controller does not execute."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrajectoryMessage:
    """Content of a trajectory_msgs/JointTrajectory.

    Attributes:
        stamp_ns: Start in [ns]; 0 means on arrival.
        joint_names: Order of the columns. Length N.
        time_from_start_ns: Time of each point after the start. Shape (P,).
        positions: Shape (P, N).
        velocities: Shape (P, N), or None.
        accelerations: Shape (P, N), or None.
    """

    stamp_ns: int
    joint_names: tuple[str, ...]
    time_from_start_ns: npt.NDArray[np.int64]
    positions: Array
    velocities: Array | None = None
    accelerations: Array | None = None

    @classmethod
    def of(cls, window: TrajectoryWindow, joint_names: tuple[str, ...]) -> TrajectoryMessage:
        """What a controller of these joints gets of a rolling window."""
        return cls(
            stamp_ns=int(window.t_ns[0]),
            joint_names=joint_names,
            time_from_start_ns=window.t_ns - window.t_ns[0],
            positions=window.position,
            velocities=window.velocity,
            accelerations=window.acceleration,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Joint state as the controller reads it from the hardware.

    Attributes:
        position: Shape (N,).
        velocity: Shape (N,).
    """

    position: Array
    velocity: Array


def _coefficients(T: Array, p: Array, v: Array | None, a: Array | None) -> Array:
    """Polynomials between successive points.

    Args:
        T: Duration of each segment, in [s]. Shape (P-1,).
        p: Positions. Shape (P, N).
        v: Velocities, or None for lines.
        a: Accelerations, or None for cubics.

    Returns:
        Shape (6, P-1, N), lowest power first.
    """
    T = T[:, None]
    h = p[1:] - p[:-1]
    c = np.zeros((6, *h.shape))
    c[0] = p[:-1]
    if v is None:
        c[1] = h / T
        return c
    v0, v1 = v[:-1], v[1:]
    c[1] = v0
    if a is None:
        c[2] = (3 * h - (2 * v0 + v1) * T) / T**2
        c[3] = (-2 * h + (v0 + v1) * T) / T**3
        return c
    a0, a1 = a[:-1], a[1:]
    c[2] = a0 / 2
    c[3] = (20 * h - (8 * v1 + 12 * v0) * T - (3 * a0 - a1) * T**2) / (2 * T**3)
    c[4] = (-30 * h + (14 * v1 + 16 * v0) * T + (3 * a0 - 2 * a1) * T**2) / (2 * T**4)
    c[5] = (12 * h - 6 * (v1 + v0) * T - (a0 - a1) * T**2) / (2 * T**5)
    return c


class _Active:
    """A trajectory being executed: absolute times and one polynomial for each segment."""

    def __init__(self, message: TrajectoryMessage, now_ns: int, measured: Measured) -> None:
        start_ns = message.stamp_ns or now_ns
        times = start_ns + message.time_from_start_ns
        p, v, a = message.positions, message.velocities, message.accelerations
        c = _coefficients(np.diff(times) * 1e-9, p, v, a)
        if now_ns < times[0]:
            lead = _coefficients(
                np.array([(times[0] - now_ns) * 1e-9]),
                np.stack([measured.position, p[0]]),
                np.stack([measured.velocity, v[0]]) if v is not None else None,
                np.stack([np.zeros_like(a[0]), a[0]]) if a is not None else None,
            )
            times = np.concatenate([[now_ns], times])
            c = np.concatenate([lead, c], axis=1)
        self._times = times
        self._coefficients = c
        self._last = p[-1]
        self.end_ns = int(times[-1])

    def sample(self, times_ns: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Positions and velocities. Shapes (K, N)."""
        if int(times_ns[0]) >= self.end_ns:
            position = np.broadcast_to(self._last, (len(times_ns), len(self._last)))
            return position, np.zeros_like(position)
        segment = np.searchsorted(self._times, times_ns, side="right") - 1
        past = segment >= len(self._times) - 1
        segment = np.clip(segment, 0, len(self._times) - 2)
        t = ((times_ns - self._times[segment]) * 1e-9)[:, None]
        c = self._coefficients[:, segment]
        position = c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))))
        velocity = c[1] + t * (2 * c[2] + t * (3 * c[3] + t * (4 * c[4] + t * 5 * c[5])))
        if past.any():
            position[past] = self._last
            velocity[past] = 0.0
        return position, velocity


class TrajectoryController:
    """One controller: takes messages, gives setpoints.

    Args:
        joint_names: The joints it commands, in the order of its setpoints.
        position: Where they are held until a message comes. Shape (N,).

    Attributes:
        speed_scaling: Time of a trajectory against the clock's from the last sample on.
    """

    def __init__(self, joint_names: tuple[str, ...], position: Array) -> None:
        self.joint_names = joint_names
        self._pending: TrajectoryMessage | None = None
        self._active: _Active | None = None
        self._played = (0, 0)
        self.speed_scaling = 1.0
        self.hold(position)

    def hold(self, position: Array) -> None:
        """Drop what is being executed and hold `position`. Shape (N,)."""
        self._held = np.array(position, dtype=float)
        self._pending = None
        self._active = None

    def accept(self, message: TrajectoryMessage, now_ns: int) -> None:
        """Take a message; the next sample executes it.

        Raises:
            TrajectoryRefused: It is not executed; what was executed before goes on.
        """
        self._pending = self._checked(message, now_ns)

    def sample(self, times_ns: npt.NDArray[np.int64], measured: Measured) -> tuple[Array, Array]:
        """Setpoints at coming instants; no message may arrive between them.

        Args:
            times_ns: Increasing. Shape (K,).
            measured: Joint state now, used as the real controller uses it.

        Returns:
            Positions and velocities. Each Shape (K, N).
        """
        if self._pending is not None:
            self._active = _Active(self._pending, int(times_ns[0]), measured)
            self._pending = None
            self._played = (int(times_ns[0]), int(times_ns[0]))
        if self._active is None:
            position = np.broadcast_to(self._held, (len(times_ns), len(self._held)))
            return position, np.zeros_like(position)
        clock_ns, played_ns = self._played
        passed_ns = np.rint(self.speed_scaling * (times_ns - clock_ns)).astype(np.int64)
        self._played = (int(times_ns[-1]), played_ns + int(passed_ns[-1]))
        return self._active.sample(played_ns + passed_ns)

    def _checked(self, message: TrajectoryMessage, now_ns: int) -> TrajectoryMessage:
        names = message.joint_names
        if sorted(names) != sorted(self.joint_names):
            raise TrajectoryRefused(
                f"message is for joints {list(names)}, expected each of {list(self.joint_names)} "
                "once; partial goals are not allowed"
            )
        times = np.asarray(message.time_from_start_ns, dtype=np.int64)
        if len(times) == 0:
            raise TrajectoryRefused("message has no points; to stop, send the stopping motion")
        if np.any(np.diff(times) <= 0):
            raise TrajectoryRefused("times of the points do not increase")
        order = [names.index(name) for name in self.joint_names]
        shape = (len(times), len(names))
        fields: dict[str, Array | None] = {}
        for key in ("positions", "velocities", "accelerations"):
            values = getattr(message, key)
            if values is None:
                fields[key] = None
                continue
            values = np.asarray(values, dtype=float)
            if values.shape != shape or not np.isfinite(values).all():
                raise TrajectoryRefused(
                    f"{key} have shape {values.shape}, expected finite numbers of shape {shape}"
                )
            fields[key] = values[:, order]
        positions, velocities = fields["positions"], fields["velocities"]
        if positions is None:
            raise TrajectoryRefused("message has no positions")
        if fields["accelerations"] is not None and velocities is None:
            raise TrajectoryRefused("accelerations came without velocities; send both")
        if velocities is not None and np.any(np.abs(velocities[-1]) > _END_VELOCITY):
            raise TrajectoryRefused(
                f"velocity at the last point is {np.abs(velocities[-1]).max():.4g}, expected 0 "
                "(allow_nonzero_velocity_at_trajectory_end is false); end at rest"
            )
        if message.stamp_ns != 0 and message.stamp_ns + int(times[-1]) < now_ns:
            raise TrajectoryRefused(
                f"trajectory ended {(now_ns - message.stamp_ns - int(times[-1])) * 1e-9:.3f} s ago"
            )
        return TrajectoryMessage(
            stamp_ns=message.stamp_ns,
            joint_names=self.joint_names,
            time_from_start_ns=times,
            positions=positions,
            velocities=velocities,
            accelerations=fields["accelerations"],
        )
