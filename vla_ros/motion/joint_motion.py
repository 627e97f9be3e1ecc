"""JointMotion: from plans to setpoints of a group of position-controlled joints.

``plan -> minimum-jerk smoothing -> curve -> seam fade -> time of the whole group scaled -> guard``,
computed once per plan into samples on the control grid; a control tick looks one up. Stops, moves
to named poses and the brake at the end of a plan are further pieces of the same timeline, so
whatever happens next starts from the position, velocity and acceleration that are commanded. The
measured state is never used after ``reset``.

Axis letters: T rows of a plan, N joints, P points of a window.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vla_ros.motion.clock import jumped
from vla_ros.motion.curve import Curve
from vla_ros.motion.follow import Follower
from vla_ros.motion.limits import FloatArray, MotionLimits, MotionRefused, checked_vector
from vla_ros.motion.offer import Due, checked_rows
from vla_ros.motion.pose import checked_pose, way_to_pose
from vla_ros.motion.ruckig_moves import Mover
from vla_ros.motion.setpoint import MotionState, Setpoint, TrajectoryWindow
from vla_ros.motion.smoothing import smooth
from vla_ros.motion.timeline import Piece, Segment, Timeline
from vla_ros.motion.window import window_of
from vla_ros.spaces.turns import continued

MAX_OUTSIDE = 0.05
STOPPED = "stop"


class JointMotion:
    """Smooth, limited motion of a group of joints. Time is an argument; it should not go back.

    Where time goes back, or forward by more than a process may pause, nothing is fast-forwarded:
    the group brakes from what the robot last heard.

    Args:
        limits: What every setpoint obeys.
        period_ns: Control period, in [ns].
        smoothing_noise_rad: Noise of the plans' rows, in [rad] or [m]; 0 switches smoothing off.
        fade_ns: Duration of the seam fade, in [ns].
        max_stretch: A plan that would have to run slower than this is refused with a stop.
        streamed: Which joints are sent setpoints one by one though others are sent windows; by
            default none. Shape (N,).
    """

    def __init__(
        self,
        limits: MotionLimits,
        period_ns: int,
        *,
        smoothing_noise_rad: float = 0.0,
        fade_ns: int = 150_000_000,
        max_stretch: float = 4.0,
        streamed: NDArray[np.bool_] | None = None,
    ) -> None:
        self.limits = limits
        self._period_ns = int(period_ns)
        self._noise = float(smoothing_noise_rad)
        self._inner = limits.with_room()
        self._moves = limits.for_moves(period_ns * 1e-9)
        self._mover = Mover(self._moves)
        self._follower = Follower(
            limits=self._inner,
            bend=limits,
            mover=self._mover,
            period_s=period_ns * 1e-9,
            fade_s=fade_ns * 1e-9,
            max_stretch=max_stretch,
        )
        self._still = np.zeros(limits.size, dtype=np.uint8)
        self._streamed = np.zeros(limits.size, dtype=bool) if streamed is None else streamed
        self._timeline: Timeline | None = None
        self._now_ns = 0
        self._brake_ns: int | None = None
        self._fault = ""

    @property
    def state(self) -> MotionState:
        """HOLDING at rest, RAMPING to a pose or onto a far plan, TRACKING a plan, BRAKING."""
        return "HOLDING" if self.at_rest else self._segment.state

    @property
    def reason(self) -> str:
        """Why the group brakes or has braked; "" where it moves or rests as it was asked to."""
        return self._fault or self._segment.reason

    @property
    def fault(self) -> str:
        """Latched text of a plan that could not be executed; only ``reset`` clears it."""
        return self._fault

    @property
    def at_rest(self) -> bool:
        """Whether the commanded motion is over."""
        return self._line.end <= self._tick

    @property
    def finished(self) -> bool:
        """Whether the group rests at the end of a plan or of a move it was asked for."""
        return self.at_rest and self._segment.reason != STOPPED and not self._fault

    @property
    def _line(self) -> Timeline:
        if self._timeline is None:
            raise MotionRefused(
                "The motion was not started: expected reset() with the robot's position."
            )
        return self._timeline

    @property
    def _tick(self) -> int:
        """The last sample due at or before now."""
        return (self._now_ns - self._line.origin_ns) // self._period_ns

    @property
    def _segment(self) -> Segment:
        return self._line.segment(self._tick)

    def reset(self, q: FloatArray, now_ns: int) -> None:
        """Hold ``q`` (N,) from ``now_ns`` on; clears a fault and every plan.

        A position slightly outside its limits is held, not jumped from; the way back inside is the
        next plan's.

        Raises:
            MotionRefused: A wrong shape, a value that is not finite, or far outside the limits.
        """
        position = checked_vector("The position to start from", q, self.limits.size)
        outside = np.maximum(self.limits.lower - position, position - self.limits.upper)
        if outside.max() > MAX_OUTSIDE:
            joint = int(np.argmax(outside))
            raise MotionRefused(
                f"{self.limits.names[joint]} is at {position[joint]:.4f}, expected between "
                f"{self.limits.lower[joint]:.4f} and {self.limits.upper[joint]:.4f}. Move the "
                f"robot inside its limits, or correct them in the robot file."
            )
        allowed = replace(
            self._inner,
            lower=np.minimum(self.limits.lower, position),
            upper=np.maximum(self.limits.upper, position),
        )
        self._follower = replace(self._follower, limits=allowed)
        self._fault = ""
        self._restart(np.stack([position, 0.0 * position, 0.0 * position]), now_ns, "")

    def accept(
        self,
        start_ns: int,
        dt_ns: int,
        valid_from_ns: int,
        positions: FloatArray,
        interpolation: Literal["hold", "linear"],
        now_ns: int,
    ) -> None:
        """Execute a plan from ``max(valid_from_ns, next tick)`` on, at the row due then.

        Joints without position limits go the short way from row to row, whatever turn is named.

        Args:
            start_ns: Due time of row 0, in [ns].
            dt_ns: Time between rows, in [ns].
            valid_from_ns: From when on it replaces the plan in force, in [ns].
            positions: The rows, in [rad] or [m]. Shape (T, N).
            interpolation: ``linear``: row k is passed at its due time; ``hold``: in the middle of
                the ``dt_ns`` that it acts for.
            now_ns: In [ns].

        Raises:
            MotionRefused: A malformed plan or one whose rows are all in the past; the plan in force
                stays. A plan that no way inside the limits can execute; the group brakes and
                ``fault`` is latched.
        """
        self._may_move(now_ns)
        line = self._line
        rows = checked_rows(positions, dt_ns, self.limits)
        due = Due.of(len(rows), start_ns, dt_ns, valid_from_ns, interpolation, now_ns)
        tick = max(self._tick + 1, line.tick_at_or_after(due.begin_ns))
        first_row = due.row_at(line.time_ns(tick))
        here, entry = line.state(tick)[0], min(max(int(first_row), 0), len(rows) - 1)
        rows = continued(rows, self.limits.turning, here, entry)
        smoothed = smooth(rows, dt_ns * 1e-9, self._noise, self.limits.jerk)
        curve = Curve.through(smoothed, dt_ns * 1e-9)
        try:
            state = np.concatenate([line.state(tick), line.jerk(tick)[None]])
            pieces = self._follower.follow(state, curve, rows, first_row, due.last_row)
        except MotionRefused as refusal:
            self.stop(now_ns)
            self._fault = str(refusal)
            raise
        line.splice(tick, pieces, self._tick)

    def stop(self, now_ns: int) -> None:
        """Brake from the commanded state at the next tick, as quickly as the limits allow."""
        self._seen(now_ns)
        line, tick = self._line, self._tick + 1
        samples = self._mover.stop(line.state(tick)).on_grid(self._period_ns * 1e-9)
        segment = Segment(state="BRAKING", limited=self._still, reason=STOPPED)
        line.splice(tick, [Piece.outside_plans(segment, samples)], self._tick)

    def go_to(self, q: FloatArray, now_ns: int, speed: float = 1.0) -> float:
        """Move to ``q`` (N,) and rest there, all joints arriving together; replaces any plan.

        Args:
            q: Target, in [rad] or [m]. Shape (N,).
            now_ns: In [ns].
            speed: Fraction of every limit to use, above 0 to 1.

        Returns:
            Duration of the move from the next tick on, in [s].

        Raises:
            MotionRefused: A target that is malformed or outside the limits, a speed outside its
                range, or a fault that is latched. Nothing changes.
        """
        self._may_move(now_ns)
        target = checked_pose(q, self.limits)
        if not 0.0 < speed <= 1.0:
            raise MotionRefused(f"The speed must be above 0 and at most 1, got {speed}.")
        line, tick = self._line, self._tick + 1
        target = continued(target[None], self.limits.turning, line.state(tick)[0])[0]
        samples = way_to_pose(
            line.state(tick),
            target,
            self._mover,
            Mover(self._moves.scaled(speed)),
            self._period_ns * 1e-9,
            self._follower.limits,
        )
        piece = Piece.outside_plans(Segment(state="RAMPING", limited=self._still), samples)
        line.splice(tick, [piece], self._tick)
        return float((samples.shape[1] - 1) * self._period_ns * 1e-9)

    def advance(self, now_ns: int) -> Setpoint:
        """The setpoint due at ``now_ns``; call it once each control period."""
        self._seen(now_ns)
        line, tick = self._line, self._tick
        if self._now_ns == line.time_ns(tick):
            state = line.state(tick).copy()
        else:
            state = line.states(np.array([self._now_ns]))[:, 0]
        reference = line.reference(tick).copy()
        state.setflags(write=False)
        reference.setflags(write=False)
        segment = line.segment(tick)
        return Setpoint(
            t_ns=self._now_ns,
            position=state[0],
            velocity=state[1],
            acceleration=state[2],
            row=line.row(tick),
            stretch=line.stretch(tick),
            limited=segment.limited,
            reference=reference,
        )

    def window(self, now_ns: int, lookahead_ns: int, spacing_ns: int) -> TrajectoryWindow:
        """The commanded curve from just before now to ``now + lookahead_ns``, then a brake to rest.

        Points lie on a fixed grid of ``spacing_ns``, so windows agree where they overlap.

        Args:
            now_ns: In [ns].
            lookahead_ns: How far the plan is handed over, in [ns].
            spacing_ns: Time between points, in [ns]; a multiple of the period is exact.
        """
        self._seen(now_ns)
        window, self._brake_ns = window_of(
            self._line, self._mover, self._now_ns, lookahead_ns, spacing_ns
        )
        return window

    def position_at(self, t_ns: int) -> FloatArray:
        """What will be commanded at an instant, should nothing more be asked for. Shape (N,)."""
        return self._line.states(np.array([t_ns]))[0, 0]

    def brake_path(self, now_ns: int) -> FloatArray:
        """Positions from now on, should a stop be asked for one period from now. Shape (n, N)."""
        self._seen(now_ns)
        line, tick = self._line, self._tick
        brake = self._mover.stop(line.state(tick + 2)).on_grid(self._period_ns * 1e-9)
        return np.concatenate([[line.state(tick)[0], line.state(tick + 1)[0]], brake[0]])

    def _may_move(self, now_ns: int) -> None:
        self._seen(now_ns)
        if self._fault:
            raise MotionRefused(
                f"Stopped by a fault: {self._fault} Resume from where the robot is."
            )

    def _seen(self, now_ns: int) -> None:
        """Takes note of the time; brakes where it jumped."""
        line = self._line
        if -self._period_ns <= now_ns - self._now_ns <= 0:
            return
        jump = jumped(line, self._mover, self._now_ns, now_ns, self._brake_ns, self._streamed)
        if jump is not None:
            self._restart(jump.state, now_ns, jump.reason)
        self._now_ns = max(now_ns, self._now_ns)

    def _restart(self, state: FloatArray, now_ns: int, reason: str) -> None:
        """A new timeline from ``state`` (3, N) on that brakes to rest."""
        period_s = self._period_ns * 1e-9
        segment = Segment(state="BRAKING", limited=self._still, reason=reason)
        self._timeline = Timeline(int(now_ns), self._period_ns, state, segment)
        self._now_ns = int(now_ns)
        self._brake_ns = None
        if state[1:].any():
            samples = self._mover.stop(state).on_grid(period_s)
            self._timeline.splice(1, [Piece.outside_plans(segment, samples[:, 1:])], 0)
