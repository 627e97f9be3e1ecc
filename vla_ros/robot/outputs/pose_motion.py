"""PoseMotion: from plans of poses to one pose each control period, within speed and acceleration.

What `JointMotion` is to joints, for an end effector whose controller finds the joints by itself.
The rows become a smooth curve. The commanded pose moves as that curve does, plus a share of what it
is away from it, never faster than it could brake within what is left of the curve; then speed and
change of speed are cut to the limits, of the position and of the rotation each by their length. So
a plan inside the limits passes unchanged, one that is too fast is executed slower, and whatever
comes, every step is inside the limits.

Axis letters: T rows of a plan, n poses of a path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Interpolation
from vla_ros.motion import MotionRefused
from vla_ros.motion.curve import Curve
from vla_ros.motion.offer import Due
from vla_ros.robot.poses.pose_values import Poses
from vla_ros.spaces.rotations import (
    axis_angle_from_quaternion,
    quaternion_from_matrix,
)

FloatArray = npt.NDArray[np.float64]

MAX_STRETCH = 4.0
MAX_MISSED_PERIODS = 10
MAX_TURN = 0.9 * np.pi
BRAKE_SHARE = 0.5
TINY = 1e-9

# Of each axis the matrix M with M v = axis x v.
_ABOUT = np.cross(np.eye(3)[:, None], np.eye(3)).swapaxes(1, 2)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Largest speed and acceleration, in [m] or [rad], per s and s^2."""

    velocity: float
    acceleration: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PosePath:
    """The curve of one plan.

    Attributes:
        due: When its rows are passed.
        stretch: Duration over planned duration.
        curve: Position, and turn about the frame's axes from ``middle``.
        middle: One rotation of the plan. Shape (3, 3).
        left: How far it still goes and turns from each row on, in [m] and [rad]. Shape (T, 2).
    """

    due: Due
    stretch: float
    curve: Curve
    middle: FloatArray
    left: FloatArray

    @classmethod
    def through(cls, poses: Poses, due: Due, now_ns: int, bounds: tuple[Bound, Bound]) -> PosePath:
        """The curve through T poses, slower where the rows to come are faster than the bounds.

        Raises:
            MotionRefused: All rows are past, the rows are much too fast, or turn too far.
        """
        begin_ns = max(due.begin_ns, now_ns)
        first = min(max(int(due.row_at(begin_ns)), 0), len(poses.position) - 1)
        middle = poses.rotation[len(poses.rotation) // 2]
        turns = rotation_vector(poses.rotation @ middle.T)
        if np.linalg.norm(turns, axis=1).max() > MAX_TURN:
            raise MotionRefused(
                "The plan turns more than 160 degrees from its middle. Check the slice's rotation, "
                "or plan less far ahead."
            )
        between = rotation_vector(poses.rotation[1:] @ np.swapaxes(poses.rotation[:-1], 1, 2))
        steps = np.linalg.norm([np.diff(poses.position, axis=0), between], axis=2).T
        most = np.array([bound.velocity for bound in bounds]) * due.dt_ns * 1e-9
        stretch = max(1.0, float((steps[first:] / most).max(initial=0.0)))
        if stretch > MAX_STRETCH:
            raise MotionRefused(
                f"The plan of poses is {stretch:.3g} times faster than its output's limits, "
                f"expected at most {MAX_STRETCH:.3g} times. Check its units."
            )
        if stretch > 1.0:  # slower and longer, from where it begins
            due = Due(
                begin_ns=due.begin_ns,
                first_ns=begin_ns - int((begin_ns - due.first_ns) * stretch),
                dt_ns=int(due.dt_ns * stretch),
                last_row=due.last_row,
            )
        left = np.concatenate([np.cumsum(steps[::-1], axis=0)[::-1], np.zeros((1, 2))])
        rows = np.hstack([poses.position, turns])
        curve = Curve.through(rows, due.dt_ns * 1e-9)
        return cls(due=due, stretch=stretch, curve=curve, middle=middle, left=left)

    def row(self, t_ns: int) -> float:
        """The fractional row at an instant, the first or last one before or after the plan."""
        row = (t_ns - self.due.first_ns) / self.due.dt_ns
        return float(np.clip(row, -0.5, self.due.last_row))

    def at(self, t_ns: npt.ArrayLike) -> Poses:
        """The curve at instants (n,)."""
        rows = (np.asarray(t_ns, dtype=np.int64) - self.due.first_ns) / self.due.dt_ns
        there = self.curve.sample(np.clip(rows, -0.5, self.due.last_row))[0]
        return Poses(there[:, :3], turned(there[:, 3:], self.middle))

    def left_at(self, t_ns: int) -> FloatArray:
        """How far it still goes and turns from an instant on. Shape (2,)."""
        row = min(max(self.row(t_ns), 0.0), len(self.left) - 1.0)
        low = min(int(row), max(len(self.left) - 2, 0))
        high = min(low + 1, len(self.left) - 1)
        return np.asarray(self.left[low] + (row - low) * (self.left[high] - self.left[low]))


class PoseMotion:
    """One pose within limits. Time is an argument.

    Args:
        linear: Of the position.
        angular: Of the rotation.
        period_ns: Control period, in [ns].

    Attributes:
        pose: What is commanded; one pose.
        speed: How it moves, in [m/s], and turns about the frame's axes, in [rad/s]. Shape (2, 3).
    """

    def __init__(self, linear: Bound, angular: Bound, period_ns: int) -> None:
        self.bounds = (linear, angular)
        self._period_ns = period_ns
        self.reset(Poses(np.zeros(3), np.eye(3)))

    def reset(self, pose: Poses) -> None:
        """Stand still here, with no plan."""
        self.pose = pose
        self.speed = np.zeros((2, 3))
        self._now_ns: int | None = None
        self._path: PosePath | None = None
        self._next: PosePath | None = None

    @property
    def at_rest(self) -> bool:
        """Whether it stands still and no plan asks for more."""
        return not self.speed.any() and self._path is None and self._next is None

    def path(
        self,
        poses: Poses,
        start_ns: int,
        dt_ns: int,
        valid_from_ns: int,
        interpolation: Interpolation,
        now_ns: int,
    ) -> PosePath:
        """What T poses amount to; nothing is executed yet.

        Raises:
            MotionRefused: See `PosePath.through`, or the plan begins too far from now.
        """
        count = len(poses.position)
        due = Due.of(count, start_ns, dt_ns, valid_from_ns, interpolation, now_ns)
        return PosePath.through(poses, due, now_ns, self.bounds)

    def follow(self, path: PosePath) -> None:
        """Execute a path from its beginning on."""
        self._next = path

    def stop(self) -> None:
        """Brake within the limits."""
        self._path = self._next = None

    def reference(self, now_ns: int) -> Poses:
        """What the plan in force asks for now; without one what is commanded."""
        return self.pose if self._path is None else self._path.at([now_ns])[0]

    def advance(self, now_ns: int) -> Poses:
        """The pose at ``now_ns``; to be called once each control period."""
        period_s = self._period_ns * 1e-9
        elapsed_ns = self._period_ns if self._now_ns is None else now_ns - self._now_ns
        if not 0 < elapsed_ns <= MAX_MISSED_PERIODS * self._period_ns:
            self.stop()  # the clock jumped, or nobody asked
        else:
            period_s = elapsed_ns * 1e-9
        self._now_ns = now_ns
        if self._next is not None and self._next.due.begin_ns <= now_ns:
            self._path, self._next = self._next, None
        self.speed = self._speed(now_ns, period_s)
        if self.speed.any():
            self.pose = moved(self.pose, self.speed * period_s)
        path = self._path
        if path is not None and path.row(now_ns) >= path.due.last_row and not self.speed.any():
            self._path = None  # it stands where the plan ends
        return self.pose

    def brake_path(self, now_ns: int) -> Poses:
        """Poses from the next on, should it be stopped in the period after. Shape (n,)."""
        period_s = self._period_ns * 1e-9
        speed = self._speed(now_ns, period_s)
        steps = [np.zeros((2, 3)), speed]
        while steps[-1].any():
            steps.append(self._slower(steps[-1], period_s))
        way = np.cumsum(steps, axis=0) * period_s
        return moved(self.pose, np.swapaxes(way, 0, 1))

    def _speed(self, now_ns: int, period_s: float) -> FloatArray:
        """The speeds at which it gets to ``now_ns``. Shape (2, 3)."""
        if self._path is None:
            return self._slower(self.speed, period_s)
        before_ns = now_ns - round(period_s * 1e9)
        there = self._path.at([before_ns, now_ns])
        here = Poses(
            np.stack([self.pose.position, there.position[0]]),
            np.stack([self.pose.rotation, there.rotation[0]]),
        )
        away, feed = np.swapaxes(apart(here, there), 0, 1)
        left = self._path.left_at(before_ns)
        rows = zip(self.speed, feed / period_s, away, left, self.bounds, strict=True)
        return np.stack([_next_speed(*row, period_s) for row in rows])

    def _slower(self, speed: FloatArray, period_s: float) -> FloatArray:
        """Speeds (2, 3) after one period of braking."""
        bounds = zip(speed, self.bounds, strict=True)
        return np.stack([v - _cut(v, bound.acceleration * period_s) for v, bound in bounds])


def _next_speed(
    speed: FloatArray,
    feed: FloatArray,
    away: FloatArray,
    left: float,
    bound: Bound,
    period_s: float,
) -> FloatArray:
    """The next speed (3,) of a position or a rotation.

    Args:
        speed: The last one. Shape (3,).
        feed: Of the plan. Shape (3,).
        away: From what is commanded to the plan. Shape (3,).
        left: How far the plan still goes from there.
        bound: What must not be exceeded.
        period_s: In [s].
    """
    distance = float(np.linalg.norm(away))
    wanted = feed
    if distance > 0.0:
        catching_up = _stopping_within(distance, BRAKE_SHARE * bound.acceleration, period_s)
        wanted = feed + away * (catching_up / distance)
    left += distance
    ending = _stopping_within(left, bound.acceleration, period_s) if left > TINY else 0.0
    wanted = _cut(wanted, min(bound.velocity, ending))
    return speed + _cut(wanted - speed, bound.acceleration * period_s)


def _stopping_within(distance: float, acceleration: float, period_s: float) -> float:
    """The speed of this period, should nothing be left to go after slowing down in equal steps.

    ``s * period + s (s - step) / (2 a) = distance``.
    """
    half = 0.5 * acceleration * period_s
    return min(float(np.sqrt(half**2 + 2.0 * acceleration * distance)) - half, distance / period_s)


def _cut(vector: FloatArray, most: float) -> FloatArray:
    length = float(np.linalg.norm(vector))
    return vector if length <= most else vector * (most / length)


def apart(start: Poses, end: Poses) -> FloatArray:
    """Ways and turns, about the frame's axes, from poses to others. Shape (2, ..., 3)."""
    turn = rotation_vector(end.rotation @ np.swapaxes(start.rotation, -1, -2))
    return np.stack([end.position - start.position, turn])


def moved(pose: Poses, way: FloatArray) -> Poses:
    """A pose after ways and turns (2, ..., 3)."""
    return Poses(pose.position + way[0], turned(way[1], pose.rotation))


def turned(turn: FloatArray, rotation: FloatArray) -> FloatArray:
    """Rotations (..., 3, 3) after turns (..., 3) about the frame's axes; orthonormal again."""
    angle = np.linalg.norm(turn, axis=-1)[..., None, None]
    cross = np.tensordot(turn, _ABOUT, 1)
    one_minus_cos = 0.5 * np.sinc(0.5 * angle / np.pi) ** 2 * (cross @ cross)  # Rodrigues
    after = (np.eye(3) + np.sinc(angle / np.pi) * cross + one_minus_cos) @ rotation
    return np.asarray(after @ (1.5 * np.eye(3) - 0.5 * np.swapaxes(after, -1, -2) @ after))


def rotation_vector(rotation: FloatArray) -> FloatArray:
    """Axis times angle (..., 3), the angle at most pi, of matrices (..., 3, 3)."""
    return axis_angle_from_quaternion(quaternion_from_matrix(rotation))
