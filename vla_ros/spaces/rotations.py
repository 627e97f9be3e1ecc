"""Rotations in the forms that robots and datasets use, and the way between them.

Everything goes through the matrix or the unit quaternion; all functions take leading axes.

* quaternion: ``(x, y, z, w)`` as in ROS messages; results are unit, with ``w >= 0``.
* matrix: ``v_parent = R @ v_child``.
* rpy: roll, pitch, yaw about the fixed axes x, y, z [rad], ``R = Rz(yaw) Ry(pitch) Rx(roll)``
  (URDF, REP-103); pitch in [-pi/2, pi/2]; where it is at an end, roll and yaw
  cannot be told apart, and one pair that describes the rotation is returned.
* axis_angle: rotation vector, axis times angle [rad]; angle in [0, pi].
* sixd: the first two columns of the matrix one after the other (Zhou et al., "On the continuity
  of rotation representations in neural networks", CVPR 2019). Code that stores rows instead
  means the transposed matrix.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

FloatArray = npt.NDArray[np.float64]

RotationForm = Literal["quaternion", "rpy", "axis_angle", "sixd"]

ROTATION_SIZES: dict[RotationForm, int] = {"quaternion": 4, "rpy": 3, "axis_angle": 3, "sixd": 6}
"""Numbers that each form takes."""

_TINY = 1e-12


class RotationError(VlaError):
    """Numbers that describe no rotation."""


def matrix_from(form: RotationForm, values: npt.ArrayLike) -> FloatArray:
    """Rotation matrices (..., 3, 3) from any form (..., n).

    Raises:
        RotationError: wrong number of elements, not finite, or no rotation (length zero).
    """
    checked = _checked(form, values)
    if form == "quaternion":
        return matrix_from_quaternion(checked)
    if form == "rpy":
        return matrix_from_rpy(checked)
    if form == "axis_angle":
        return matrix_from_quaternion(quaternion_from_axis_angle(checked))
    return matrix_from_sixd(checked)


def from_matrix(form: RotationForm, matrix: npt.ArrayLike) -> FloatArray:
    """Any form (..., n) from rotation matrices (..., 3, 3)."""
    if form not in ROTATION_SIZES:
        raise _unknown(form)
    if form == "quaternion":
        return quaternion_from_matrix(matrix)
    if form == "rpy":
        return rpy_from_matrix(matrix)
    if form == "axis_angle":
        return axis_angle_from_quaternion(quaternion_from_matrix(matrix))
    return sixd_from_matrix(matrix)


def normalised(quaternion: npt.ArrayLike) -> FloatArray:
    """Unit quaternions (..., 4) with ``w >= 0``.

    Raises:
        RotationError: a quaternion is zero or not finite.
    """
    q = _checked("quaternion", quaternion)
    length = np.linalg.norm(q, axis=-1, keepdims=True)
    if np.any(length < _TINY):
        raise RotationError(
            "a quaternion is (0, 0, 0, 0); expected length 1 (the identity is x=y=z=0, w=1); "
            "the sender did not fill it in"
        )
    q = q / length
    return np.where(q[..., 3:] < 0, -q, q)


def matrix_from_quaternion(quaternion: npt.ArrayLike) -> FloatArray:
    """Matrices (..., 3, 3) from quaternions (..., 4) of any length but zero."""
    x, y, z, w = np.moveaxis(normalised(quaternion), -1, 0)
    return _stacked(
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )


def quaternion_from_matrix(matrix: npt.ArrayLike) -> FloatArray:
    """Quaternions (..., 4) from matrices (..., 3, 3); stable for every angle."""
    m = np.asarray(matrix, dtype=np.float64)
    a, b, c = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    xy, xz, yz = (
        m[..., 0, 1] + m[..., 1, 0],
        m[..., 0, 2] + m[..., 2, 0],
        m[..., 1, 2] + m[..., 2, 1],
    )
    xw, yw, zw = (
        m[..., 2, 1] - m[..., 1, 2],
        m[..., 0, 2] - m[..., 2, 0],
        m[..., 1, 0] - m[..., 0, 1],
    )
    # Every row is 4 q_i q: the one with the largest q_i loses no digits.
    rows = _stacked(
        (1 + a - b - c, xy, xz, xw),
        (xy, 1 - a + b - c, yz, yw),
        (xz, yz, 1 - a - b + c, zw),
        (xw, yw, zw, 1 + a + b + c),
    )
    largest = np.argmax(np.diagonal(rows, axis1=-2, axis2=-1), axis=-1)
    return normalised(np.take_along_axis(rows, largest[..., None, None], axis=-2)[..., 0, :])


def matrix_from_rpy(rpy: npt.ArrayLike) -> FloatArray:
    """Matrices (..., 3, 3) from roll, pitch, yaw (..., 3) [rad]."""
    angles = np.asarray(rpy, dtype=np.float64)
    (sr, sp, sy), (cr, cp, cy) = (
        np.moveaxis(np.sin(angles), -1, 0),
        np.moveaxis(np.cos(angles), -1, 0),
    )
    return _stacked(
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )


def rpy_from_matrix(matrix: npt.ArrayLike) -> FloatArray:
    """Roll, pitch, yaw (..., 3) [rad] from matrices (..., 3, 3)."""
    m = np.asarray(matrix, dtype=np.float64)
    yaw = np.arctan2(m[..., 1, 0], m[..., 0, 0])
    sy, cy = np.sin(yaw), np.cos(yaw)
    # The roll that goes with this yaw: right even where only their sum or difference is known.
    roll = np.arctan2(sy * m[..., 0, 2] - cy * m[..., 1, 2], cy * m[..., 1, 1] - sy * m[..., 0, 1])
    pitch = np.arctan2(-m[..., 2, 0], np.hypot(m[..., 0, 0], m[..., 1, 0]))
    return np.stack((roll, pitch, yaw), axis=-1)


def quaternion_from_axis_angle(axis_angle: npt.ArrayLike) -> FloatArray:
    """Quaternions (..., 4) from rotation vectors (..., 3) [rad]."""
    vector = np.asarray(axis_angle, dtype=np.float64)
    half = np.linalg.norm(vector, axis=-1, keepdims=True) / 2
    imaginary = vector * 0.5 * np.sinc(half / np.pi)
    return normalised(np.concatenate((imaginary, np.cos(half)), axis=-1))


def axis_angle_from_quaternion(quaternion: npt.ArrayLike) -> FloatArray:
    """Rotation vectors (..., 3) [rad] from quaternions (..., 4); the angle is at most pi."""
    q = normalised(quaternion)
    sine = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., 3:])
    # angle / sine -> 2 / w = 2 as the angle goes to zero
    return q[..., :3] * np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > _TINY)


def matrix_from_sixd(sixd: npt.ArrayLike) -> FloatArray:
    """Matrices (..., 3, 3) from two columns (..., 6), made orthonormal by Gram-Schmidt.

    Raises:
        RotationError: a column is zero or both are parallel.
    """
    columns = _checked("sixd", sixd)
    first = _unit(columns[..., :3])
    second = columns[..., 3:]
    second = _unit(second - np.sum(first * second, axis=-1, keepdims=True) * first)
    return np.stack((first, second, np.cross(first, second)), axis=-1)


def sixd_from_matrix(matrix: npt.ArrayLike) -> FloatArray:
    """The first two columns (..., 6) of matrices (..., 3, 3)."""
    m = np.asarray(matrix, dtype=np.float64)
    return np.concatenate((m[..., :, 0], m[..., :, 1]), axis=-1)


def slerp(start: npt.ArrayLike, end: npt.ArrayLike, fraction: npt.ArrayLike) -> FloatArray:
    """Quaternions (..., 4) on the shortest way from ``start`` to ``end`` at constant speed.

    Args:
        start: quaternions (..., 4) at fraction 0.
        end: quaternions (..., 4) at fraction 1.
        fraction: how far on the way (...).
    """
    a, b = normalised(start), normalised(end)
    b = np.where(np.sum(a * b, axis=-1, keepdims=True) < 0, -b, b)
    t = np.asarray(fraction, dtype=np.float64)[..., None]
    # The angle between unit vectors without the loss of digits that arccos has near 0.
    half = np.arctan2(
        np.linalg.norm(b - a, axis=-1, keepdims=True), np.linalg.norm(a + b, axis=-1, keepdims=True)
    )
    angle = 2 * half
    # sin(t angle) / sin(angle), with its limit t at angle 0
    near, far = np.sinc((1 - t) * angle / np.pi), np.sinc(t * angle / np.pi)
    return normalised((a * (1 - t) * near + b * t * far) / np.sinc(angle / np.pi))


def angle_between(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """Angles (...) [rad] in [0, pi] of the rotations from quaternions ``a`` to ``b`` (..., 4)."""
    first, second = normalised(a), normalised(b)
    second = np.where(np.sum(first * second, axis=-1, keepdims=True) < 0, -second, second)
    apart, along = (np.linalg.norm(v, axis=-1) for v in (second - first, second + first))
    return 4 * np.arctan2(apart, along)


def _checked(form: RotationForm, values: npt.ArrayLike) -> FloatArray:
    if form not in ROTATION_SIZES:
        raise _unknown(form)
    array = np.asarray(values, dtype=np.float64)
    size = ROTATION_SIZES[form]
    if array.ndim == 0 or array.shape[-1] != size:
        raise RotationError(f"{form}: expected {size} numbers, got shape {array.shape}")
    if not np.all(np.isfinite(array)):
        raise RotationError(f"{form}: expected finite numbers, got {array}")
    return array


def _unknown(form: str) -> RotationError:
    return RotationError(
        f"rotation form '{form}' is unknown; expected one of {', '.join(get_args(RotationForm))}"
    )


def _unit(vector: FloatArray) -> FloatArray:
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    if np.any(length < _TINY):
        raise RotationError(
            "sixd: a column is zero or both are parallel; expected two independent columns"
        )
    return np.asarray(vector / length, dtype=np.float64)


def _stacked(*rows: tuple[FloatArray, ...]) -> FloatArray:
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
