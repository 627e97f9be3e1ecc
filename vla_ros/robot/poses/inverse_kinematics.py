"""From a path of link poses to joint positions: differential inverse kinematics, row by row.

Each row is a small quadratic program of mink's frame task (https://github.com/kevinzakka/mink),
solved by DAQP: the pose's error is brought down with Levenberg-Marquardt damping (which keeps the
joints calm at singularities), inside a box of joint limits and of what a joint can move in one
row; what the pose leaves free drifts slowly to a posture. A row begins where the row before was
heading, so that one step is mostly enough and the path stays on one branch.

Axis letters: T rows, N joints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.motion import MotionLimits
from vla_ros.motion.curve import MARGIN_OF_RANGE, MAX_MARGIN
from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.spaces.rotations import quaternion_from_matrix

FloatArray = npt.NDArray[np.float64]

SPEED_ROOM = 2.0
"""How many times faster than its limit a joint may be asked to move: the motion runs the whole
group slower then and keeps the path, where a slower joint would leave it."""

_METRES_PER_RADIAN = 0.3
_SOLVED = 2e-5  # m and rad
_DAMPING = 1e-5
_ERROR_DAMPING = 0.1
_POSTURE_S = 3.0
_FIRST, _EACH, _ON_AVERAGE = 40, 12, 4


@dataclass(frozen=True, eq=False)
class JointPath:
    """What was solved.

    Attributes:
        rows: Joint positions of the rows that could be followed, from the first on. Shape (n, N).
        position_error: Distance left at the row after these, in [m]; 0 where all were followed.
        rotation_error: Angle left there, in [rad].
    """

    rows: FloatArray
    position_error: float = 0.0
    rotation_error: float = 0.0


class InverseKinematics:
    """Joint positions for the poses of one link.

    Args:
        kinematics: Of the joints that may move.
        link: Whose poses are given.
        frame: Link in whose frame they are given; these joints must not move it.
        limits: Of the joints, in the same order.
        posture: Where joints drift that the pose leaves free. Shape (N,).

    Raises:
        KinematicsError: mink is not installed, a link is not there, its pose in ``frame`` depends
            on another joint, or joints follow (mimic) these ones.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        link: str,
        frame: str,
        limits: MotionLimits,
        posture: FloatArray,
    ) -> None:
        try:
            import daqp
            import mink
        except ImportError as error:
            raise KinematicsError(
                f"poses as actions need mink and DAQP ({error}); pip install mink daqp"
            ) from None
        _check_chain(kinematics, link, frame)
        self._mink, self._daqp = mink, daqp
        model, count = kinematics.model, limits.size
        # The model's joints are in the order of the tree.
        self._order = kinematics.full(np.arange(count)).astype(np.int64)
        self._back = np.argsort(self._order)
        self._low, self._high, self._speed, self._posture = (
            values[self._order] for values in (*_inside(limits), limits.velocity, posture)
        )
        self._configuration = mink.Configuration(model)
        self._task = mink.FrameTask(
            kinematics.body(link), "body", 1.0, _METRES_PER_RADIAN, lm_damping=_ERROR_DAMPING
        )
        place = self._configuration.data
        self._frame_position = place.xpos[kinematics.body(frame)].copy()
        self._frame_rotation = place.xmat[kinematics.body(frame)].reshape(3, 3).copy()
        self._no_rows, self._kinds = np.zeros((0, count)), np.zeros(count, dtype=np.int32)

    def follow(
        self,
        positions: FloatArray,
        rotations: FloatArray,
        start: FloatArray,
        dt_s: float,
        *,
        tolerance_m: float,
        tolerance_rad: float,
    ) -> JointPath:
        """Follow poses from the first row on, as far as they can be followed.

        The first row may be any way off; from row to row a joint moves by no more than
        ``SPEED_ROOM`` times what its speed limit allows. The work is bounded.

        Args:
            positions: Of the link in the frame, in [m]. Shape (T, 3).
            rotations: Of the link in the frame. Shape (T, 3, 3).
            start: Joint positions to start from. Shape (N,).
            dt_s: Time between rows, in [s].
            tolerance_m: How far off a row may be that counts as followed.
            tolerance_rad: How far turned.
        """
        reach = SPEED_ROOM * self._speed * dt_s
        q = start[self._order]
        low, high = np.minimum(self._low, q), np.maximum(self._high, q)
        before, rows = q, np.empty((len(positions), len(q)))
        left, share = _FIRST + _ON_AVERAGE * len(rows), min(1.0, dt_s / _POSTURE_S)
        for i, target in enumerate(self._targets(positions, rotations)):
            self._task.set_target(target)
            bounds, guess, most = (low, high), q, _FIRST
            if i > 0:
                bounds, most = (np.maximum(low, q - reach), np.minimum(high, q + reach)), _EACH
                guess = np.minimum(np.maximum(2.0 * q - before, bounds[0]), bounds[1])
            free = q + share * (self._posture - q)
            before = q
            q, used, error = self._solve(guess, bounds, free, min(most, left))
            left -= used
            if not (error[0] <= tolerance_m and error[1] <= tolerance_rad):
                return JointPath(rows[:i, self._back], *error)
            rows[i] = q
        return JointPath(rows[:, self._back])

    def _solve(
        self, q: FloatArray, bounds: tuple[FloatArray, FloatArray], free: FloatArray, most: int
    ) -> tuple[FloatArray, int, tuple[float, float]]:
        """Joints that come closest to the task's target, the steps it took, and what is left.

        Args:
            q: Where to begin. Shape (N,).
            bounds: Smallest and largest joint positions. Shapes (N,).
            free: Where the part goes that the target leaves free. Shape (N,).
            most: Steps to take at most.
        """
        low, high = bounds
        drift = _DAMPING * (free - q)
        configuration, task = self._configuration, self._task
        configuration.update(q)
        smallest = np.inf
        for used in range(most):
            jacobian, error, damping = task.compute_qp_residual(configuration)
            hessian = jacobian.T @ jacobian
            hessian.flat[:: len(q) + 1] += damping + _DAMPING
            step, _, solved, _ = self._daqp.solve(
                hessian, -(error @ jacobian) - drift, self._no_rows, high - q, low - q, self._kinds
            )
            if solved <= 0:
                return q, used, self._error()
            # DAQP keeps bounds to 1e-6 only.
            q, drift = np.minimum(np.maximum(q + step, low), high), 0.0 * drift
            configuration.update(q)
            left = self._error()
            size = max(left)
            if size < _SOLVED or not size < 0.9 * smallest:
                return q, used + 1, left
            smallest = size
        return q, most, self._error()

    def _error(self) -> tuple[float, float]:
        """How far and how much turned the link is from the task's target, in [m] and [rad]."""
        x, y, z, a, b, c = self._task.compute_error(self._configuration).tolist()
        return math.hypot(x, y, z), math.hypot(a, b, c)

    def _targets(self, positions: FloatArray, rotations: FloatArray) -> list[Any]:
        """Poses in the model's world."""
        placed = positions @ self._frame_rotation.T + self._frame_position
        turned = quaternion_from_matrix(self._frame_rotation @ rotations)
        poses = np.concatenate((turned[:, 3:], turned[:, :3], placed), axis=1)
        return [self._mink.SE3(wxyz_xyz=pose) for pose in poses]


def _inside(limits: MotionLimits) -> tuple[FloatArray, FloatArray]:
    """Limits that the motion does not bend positions away from; DAQP's infinity is 1e30."""
    margin = np.minimum(MAX_MARGIN, MARGIN_OF_RANGE * (limits.upper - limits.lower))
    return np.maximum(limits.lower + margin, -1e30), np.minimum(limits.upper - margin, 1e30)


def _check_chain(kinematics: Kinematics, link: str, frame: str) -> None:
    ours, above = kinematics.moving(link), kinematics.moving(frame)
    moved = [joint for joint in above if joint in kinematics.joints]
    if moved:
        raise KinematicsError(
            f"frame '{frame}' is moved by {', '.join(moved)}, which should bring '{link}' to its "
            "poses; name a frame that these joints do not move"
        )
    between = [joint for joint in ours if joint not in above]
    between += [joint for joint in above if joint not in ours]
    others = [joint for joint in between if joint not in kinematics.joints]
    if others:
        raise KinematicsError(
            f"the pose of '{link}' in '{frame}' depends on {', '.join(others)}, too; let the same "
            "output command it, or name a frame beyond it"
        )
    if not between:
        raise KinematicsError(f"none of {', '.join(kinematics.joints)} moves '{link}' in '{frame}'")
    if kinematics.model.nq != len(kinematics.joints):
        raise KinematicsError(
            f"joints follow {', '.join(kinematics.joints)} (mimic); poses cannot be followed then"
        )
