"""Poses as elements of an action vector, absolute and relative, in any rotation form.

Axis letters: T rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.robot.spec.pose import PoseSliceSpec
from vla_ros.spaces.rotations import (
    RotationError,
    from_matrix,
    matrix_from,
    matrix_from_quaternion,
    quaternion_from_matrix,
    slerp,
)

FloatArray = npt.NDArray[np.float64]

_LARGEST, _LENGTHS = 1e4, (0.5, 2.0)


class PoseError(VlaError):
    """Elements that are no pose."""


@dataclass(frozen=True, eq=False)
class Poses:
    """Where something is, one or many times.

    Attributes:
        position: In [m]. Shape (..., 3).
        rotation: Matrices. Shape (..., 3, 3).
    """

    position: FloatArray
    rotation: FloatArray

    def __getitem__(self, rows: int | slice) -> Poses:
        return Poses(self.position[rows], self.rotation[rows])

    def times(self, other: Poses) -> Poses:
        """``other``, which is given in the frame of these poses, in theirs."""
        moved = np.einsum("...ij,...j->...i", self.rotation, other.position)
        return Poses(self.position + moved, self.rotation @ other.rotation)

    def inverse(self) -> Poses:
        """The frame that these poses are given in, as seen from them."""
        back = np.swapaxes(self.rotation, -1, -2)
        return Poses(-np.einsum("...ij,...j->...i", back, self.position), back)


def read(part: PoseSliceSpec, values: FloatArray) -> Poses:
    """Poses from elements (T, 3 + n) as they are, absolute or relative.

    Raises:
        PoseError: They are far from any pose.
    """
    largest, turn = float(np.abs(values).max(initial=0.0)), values[..., 3:]
    if not largest <= _LARGEST:
        raise PoseError(
            f"'{part.name}' has an element of {largest:.3g}, expected metres and radians below "
            f"{_LARGEST:g}; check the policy's statistics and units"
        )
    if part.rotation in ("quaternion", "sixd"):
        size = 4 if part.rotation == "quaternion" else 3
        length = np.linalg.norm(turn.reshape(*turn.shape[:-1], -1, size), axis=-1)
        if not ((length > _LENGTHS[0]) & (length < _LENGTHS[1])).all():
            raise PoseError(
                f"'{part.name}' has a {part.rotation} of length {length.min():.3g} to "
                f"{length.max():.3g}, expected 1; check the policy's statistics and its order of "
                "elements"
            )
    try:
        return Poses(values[..., :3], matrix_from(part.rotation, turn))
    except RotationError as error:
        raise PoseError(f"'{part.name}': {error}") from None


def written(part: PoseSliceSpec, poses: Poses) -> FloatArray:
    """Elements (T, 3 + n) of poses; the inverse of `read`."""
    return np.concatenate((poses.position, from_matrix(part.rotation, poses.rotation)), axis=-1)


def placed(part: PoseSliceSpec, relative: Poses, base: Poses) -> Poses:
    """Absolute poses from poses relative to one base (T of one, or of as many bases)."""
    if part.axes == "link":
        return base.times(relative)
    return Poses(base.position + relative.position, relative.rotation @ base.rotation)


def relative_to(part: PoseSliceSpec, absolute: Poses, base: Poses) -> Poses:
    """Poses relative to a base; the inverse of `placed`."""
    if part.axes == "link":
        return base.inverse().times(absolute)
    back = np.swapaxes(base.rotation, -1, -2)
    return Poses(absolute.position - base.position, absolute.rotation @ back)


def path_of_steps(part: PoseSliceSpec, steps: Poses, row: float, there: Poses) -> Poses:
    """The absolute path whose rows are ``steps`` apart and that is ``there`` at a row.

    Step k leads from row k-1 to row k. What the steps before ``row`` would have moved is over:
    they are not made up for.

    Args:
        part: The slice; says along which axes steps are.
        steps: From row to row, T of them.
        row: Fractional row, before the first from -1 on.
        there: One pose.
    """
    position, rotation = [np.zeros(3)], [np.eye(3)]
    for k in range(len(steps.position)):
        last = placed(part, steps[k], Poses(position[-1], rotation[-1]))
        position.append(last.position)
        rotation.append(last.rotation)
    path = Poses(np.array(position), np.array(rotation))
    now = _between(path, min(max(row + 1.0, 0.0), float(len(steps.position))))
    if part.axes == "link":
        moved = there.times(now.inverse()).times(path)
    else:
        turn = np.swapaxes(now.rotation, -1, -2) @ there.rotation
        moved = Poses(path.position - now.position + there.position, path.rotation @ turn)
    return moved[1:]


def steps_of_path(part: PoseSliceSpec, path: Poses) -> Poses:
    """Steps from each of T + 1 poses to the next; the inverse of `path_of_steps`."""
    return relative_to(part, path[1:], path[:-1])


def _between(path: Poses, index: float) -> Poses:
    low = min(int(index), len(path.position) - 2)
    share = index - low
    turn = quaternion_from_matrix(path.rotation[low : low + 2])
    return Poses(
        path.position[low] + share * (path.position[low + 1] - path.position[low]),
        matrix_from_quaternion(slerp(turn[0], turn[1], share)),
    )
