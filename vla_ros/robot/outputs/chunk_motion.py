"""Whole chunks of positions for controllers that upsample by themselves. No limits but positions.

Stands in for `JointMotion` where the robot file says ``joint_trajectory_chunks`` and
``limits: none``: the rows go out once as they are, straight lines between them (see
https://control.ros.org/master/doc/ros2_controllers/joint_trajectory_controller/doc/trajectory.html
for what a controller makes of positions alone). Moves to named poses, and stops, keep the limits.

Axis letters: T rows of a plan, N joints, K knots.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Interpolation
from vla_ros.motion import MotionLimits, MotionRefused, MotionState, Setpoint, TrajectoryWindow
from vla_ros.motion.joint_motion import MAX_OUTSIDE
from vla_ros.motion.limits import checked_vector
from vla_ros.motion.offer import Due, checked_rows
from vla_ros.motion.pose import checked_pose, way_to_pose
from vla_ros.motion.ruckig_moves import Mover
from vla_ros.motion.setpoint import LIMITED_POSITION
from vla_ros.spaces.turns import continued

FloatArray = npt.NDArray[np.float64]


class ChunkMotion:
    """The chunk in force as a line through knots, on the interface of `JointMotion`.

    Args:
        limits: Positions are held inside; velocity, acceleration and jerk are those of stops and
            of moves to named poses only.
        period_ns: Control period, in [ns].
    """

    fault = ""

    def __init__(self, limits: MotionLimits, period_ns: int) -> None:
        self._limits = limits
        self._period_ns = period_ns
        self._lower, self._upper = limits.lower, limits.upper
        self._mover = Mover(limits)
        self._line(np.zeros(1, np.int64), np.zeros((1, limits.size)), "HOLDING")

    def _line(self, t_ns: npt.NDArray[np.int64], knots: FloatArray, state: MotionState) -> None:
        self._t_ns, self._knots, self._doing = t_ns, knots, state
        self._origin_ns = self._now_ns = int(t_ns[0])
        self._plan: tuple[Due, FloatArray] | None = None
        self._next: tuple[int, Due, FloatArray] | None = None
        self._news = False
        self.finished = False

    @property
    def state(self) -> MotionState:
        """What the motion is doing."""
        return "HOLDING" if self.at_rest else self._doing

    @property
    def at_rest(self) -> bool:
        """Whether the last knot was passed and nothing else is to come."""
        return self._next is None and self._now_ns >= self._t_ns[-1]

    def reset(self, q: FloatArray, now_ns: int) -> None:
        """Hold ``q`` (N,) from now on.

        Raises:
            MotionRefused: A wrong shape, a value that is not finite, or far outside the limits.
        """
        position = checked_vector("The position to start from", q, self._limits.size)
        lower, upper = self._limits.lower, self._limits.upper
        if np.maximum(lower - position, position - upper).max() > MAX_OUTSIDE:
            raise MotionRefused(
                f"The robot is at {position.tolist()}, expected between {lower.tolist()} and "
                f"{upper.tolist()}. Move it inside, or correct the limits in the robot file."
            )
        self._lower, self._upper = np.minimum(lower, position), np.maximum(upper, position)
        self._line(np.array([now_ns], np.int64), position[None], "HOLDING")

    def accept(
        self,
        start_ns: int,
        dt_ns: int,
        valid_from_ns: int,
        positions: FloatArray,
        interpolation: Interpolation,
        now_ns: int,
    ) -> None:
        """Execute a plan; see `JointMotion.accept`.

        Raises:
            MotionRefused: A malformed plan, or one that is all in the past.
        """
        rows = checked_rows(positions, dt_ns, self._limits)
        due = Due.of(len(rows), start_ns, dt_ns, valid_from_ns, interpolation, now_ns)
        begin_ns = max(due.begin_ns, self._tick_ns(now_ns) + self._period_ns)
        row = min(max(int(due.row_at(begin_ns)), 0), len(rows) - 1)
        rows = continued(rows, self._limits.turning, self._at(now_ns)[0], row)
        self._next = (begin_ns, due, rows)

    def stop(self, now_ns: int) -> None:
        """Brake from where the line is, within acceleration and jerk limits."""
        if self.at_rest:
            return
        position, velocity = self._at(now_ns)
        state = np.stack([position, velocity, np.zeros_like(position)])
        self._follow(self._mover.stop(state).on_grid(self._period_ns * 1e-9)[0], now_ns, "BRAKING")
        self.finished = False

    def go_to(self, q: FloatArray, now_ns: int, speed: float) -> float:
        """Move to ``q`` (N,) within the limits; its duration in [s].

        Raises:
            MotionRefused: A target that is malformed or outside the limits, or no such speed.
        """
        here = self._at(now_ns)[0]
        target = continued(checked_pose(q, self._limits)[None], self._limits.turning, here)[0]
        if not 0.0 < speed <= 1.0:
            raise MotionRefused(f"The speed must be above 0 and at most 1, got {speed}.")
        position, velocity = self._at(now_ns)
        state = np.stack([position, velocity, np.zeros_like(position)])
        slow = Mover(self._limits.scaled(speed))
        period_s = self._period_ns * 1e-9
        samples = way_to_pose(state, target, self._mover, slow, period_s, self._limits)
        self._follow(samples[0], now_ns, "RAMPING")
        return (samples.shape[1] - 1) * period_s

    def advance(self, now_ns: int) -> Setpoint:
        """What the line says now."""
        if self._next is not None and self._tick_ns(now_ns) >= self._next[0]:
            self._begin(self._next[1], self._next[2], now_ns)
        self._now_ns = max(now_ns, self._now_ns)
        position, velocity = self._at(now_ns)
        self.finished = self.at_rest and self._doing != "BRAKING"
        row, reference = float("nan"), position
        if self._plan is not None:
            due, rows = self._plan
            row = (now_ns - due.first_ns) / due.dt_ns
            if row < due.last_row:
                low = int(np.clip(row, 0, len(rows) - 1))
                high = min(low + 1, len(rows) - 1)
                reference = rows[low] + np.clip(row - low, 0.0, 1.0) * (rows[high] - rows[low])
            else:
                row = float("nan")
        return Setpoint(
            t_ns=now_ns,
            position=position,
            velocity=velocity,
            acceleration=np.zeros_like(position),
            row=row,
            stretch=1.0,
            limited=LIMITED_POSITION * (self._inside(reference) != reference).astype(np.uint8),
            reference=reference,
        )

    def brake_path(self, now_ns: int) -> FloatArray:
        """Positions from now on, should a stop be asked for one period from now. Shape (n, N)."""
        later_ns = now_ns + self._period_ns
        position, velocity = self._at(later_ns)
        state = np.stack([position, velocity, np.zeros_like(position)])
        brake = self._mover.stop(state).on_grid(self._period_ns * 1e-9)[0]
        return np.concatenate([[self._at(now_ns)[0]], brake])

    def window(self, now_ns: int, lookahead_ns: int, spacing_ns: int) -> TrajectoryWindow | None:
        """What is new: the line to its end, positions alone. None when nothing is."""
        if not self._news:
            return None
        self._news = False
        nothing = np.zeros((len(self._t_ns), 0))
        return TrajectoryWindow(
            t_ns=self._t_ns, position=self._knots, velocity=nothing, acceleration=nothing
        )

    def _begin(self, due: Due, rows: FloatArray, now_ns: int) -> None:
        """The next plan: from the line so far, straight to its first row to come."""
        t_ns = due.first_ns + due.dt_ns * np.arange(len(rows), dtype=np.int64)
        t_ns[-1] = max(int(t_ns[-1]), now_ns + self._period_ns)
        ahead = t_ns > now_ns
        # Two knots at or before now: a controller never starts from its measured state.
        past_ns = np.array([now_ns - self._period_ns, now_ns], np.int64)
        past = np.stack([self._at(int(t))[0] for t in past_ns])
        origin_ns = self._origin_ns
        self._line(
            np.concatenate([past_ns, t_ns[ahead]]),
            np.concatenate([past, self._inside(rows[ahead])]),
            "TRACKING",
        )
        self._origin_ns, self._plan, self._news = origin_ns, (due, rows), True

    def _follow(self, samples: FloatArray, now_ns: int, state: MotionState) -> None:
        """Samples of the control grid from now on, where the line is now."""
        count = np.arange(-1, len(samples), dtype=np.int64)
        knots = np.concatenate([self._at(now_ns - self._period_ns)[0][None], samples])
        origin_ns = self._origin_ns
        self._line(now_ns + self._period_ns * count, self._inside(knots), state)
        self._origin_ns, self._now_ns, self._news = origin_ns, now_ns, True

    def _inside(self, positions: FloatArray) -> FloatArray:
        clipped: FloatArray = np.clip(positions, self._lower, self._upper)
        return clipped

    def _at(self, t_ns: int) -> tuple[FloatArray, FloatArray]:
        """Position and velocity of the line. Time that goes back is taken to stand still."""
        t_ns = max(t_ns, self._now_ns - self._period_ns)
        after = int(np.searchsorted(self._t_ns, t_ns, side="right"))
        if after in (0, len(self._t_ns)):
            knot = self._knots[0 if after == 0 else -1]
            return knot, np.zeros_like(knot)
        span_ns = int(self._t_ns[after] - self._t_ns[after - 1])
        step = self._knots[after] - self._knots[after - 1]
        share = (t_ns - int(self._t_ns[after - 1])) / span_ns
        return self._knots[after - 1] + share * step, step / (span_ns * 1e-9)

    def _tick_ns(self, now_ns: int) -> int:
        """The last instant of the control grid at or before now."""
        since_ns = now_ns - self._origin_ns
        return self._origin_ns + since_ns // self._period_ns * self._period_ns
