"""Kinematics of the simulated arm in closed form: yaw, pitch, pitch and a spherical wrist.

Rows are poses: everything works on many at once. The tool frame ``tcp`` lies between the
fingertips: its x axis is the approach direction, its y axis the direction in which the fingers
open. A hand that points straight down has the rotation Rz(yaw) Ry(90 degrees).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SHOULDER_Z = 0.17
UPPER_ARM = 0.30
FOREARM = 0.28
HAND = 0.16
"""From the wrist's centre to the tcp, in [m]."""

LOWER = np.array([-2.9, -1.9, -1.5, -3.0, -2.1, -3.0])
UPPER = np.array([2.9, 2.2, 2.6, 3.0, 2.1, 3.0])
for _limit in (LOWER, UPPER):
    _limit.setflags(write=False)


def _rotations(axis: int, angle: Array) -> Array:
    """Rotations about one axis (0 x, 1 y, 2 z). Shape (T,) -> (T, 3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    R = np.zeros((len(angle), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R[:, axis, axis] = 1.0
    R[:, i, i] = R[:, j, j] = c
    R[:, i, j] = -s
    R[:, j, i] = s
    return R


def forward(q: Array) -> tuple[Array, Array]:
    """Pose of the tcp in the base frame.

    Args:
        q: Arm joints, in [rad]. Shape (T, 6).

    Returns:
        Positions in [m], Shape (T, 3), and rotations, Shape (T, 3, 3).
    """
    pitch = q[:, 1] + q[:, 2]
    reach = UPPER_ARM * np.sin(q[:, 1]) + FOREARM * np.cos(pitch)
    height = SHOULDER_Z + UPPER_ARM * np.cos(q[:, 1]) - FOREARM * np.sin(pitch)
    wrist = np.stack([reach * np.cos(q[:, 0]), reach * np.sin(q[:, 0]), height], axis=1)
    R = _rotations(2, q[:, 0]) @ _rotations(1, pitch)
    R = R @ _rotations(0, q[:, 3]) @ _rotations(1, q[:, 4]) @ _rotations(0, q[:, 5])
    return wrist + HAND * R[:, :, 0], R


def inverse(position: Array, rotation: Array) -> Array:
    """Joints that bring the tcp to each pose: elbow up, wrist bent forward (joint5 >= 0).

    A position out of reach is replaced by the nearest one in its direction; joint limits are kept
    by clipping.

    Args:
        position: In the base frame, in [m]. Shape (T, 3).
        rotation: Shape (T, 3, 3).

    Returns:
        Arm joints, in [rad]. Shape (T, 6).
    """
    wrist = position - HAND * rotation[:, :, 0]
    q1 = np.arctan2(wrist[:, 1], wrist[:, 0])
    reach = np.hypot(wrist[:, 0], wrist[:, 1])
    height = wrist[:, 2] - SHOULDER_Z
    distance = np.clip(np.hypot(reach, height), 0.06, UPPER_ARM + FOREARM - 1e-4)
    a, b = UPPER_ARM, FOREARM
    elbow = np.arccos(np.clip((a * a + b * b - distance**2) / (2 * a * b), -1.0, 1.0))
    lift = np.arccos(np.clip((a * a + distance**2 - b * b) / (2 * a * distance), -1.0, 1.0))
    q3 = np.pi / 2 - elbow
    q2 = np.pi / 2 - (np.arctan2(height, reach) + lift)
    R = np.swapaxes(_rotations(2, q1) @ _rotations(1, q2 + q3), 1, 2) @ rotation
    bend = np.hypot(R[:, 1, 0], R[:, 2, 0])
    q5 = np.arctan2(bend, R[:, 0, 0])
    straight = bend < 1e-6  # joints 4 and 6 turn about the same axis: leave it all to joint 6
    q4 = np.where(straight, 0.0, np.arctan2(R[:, 1, 0], -R[:, 2, 0]))
    q6 = np.where(straight, np.arctan2(R[:, 2, 1], R[:, 1, 1]), np.arctan2(R[:, 0, 1], R[:, 0, 2]))
    return np.clip(np.stack([q1, q2, q3, q4, q5, q6], axis=1), LOWER, UPPER)


def hand_down(yaw: Array) -> Array:
    """Rotations of a hand that points straight down. Shape (T,) -> (T, 3, 3)."""
    c, s = np.cos(yaw), np.sin(yaw)
    R = np.zeros((len(yaw), 3, 3))
    R[:, 0, 1], R[:, 0, 2] = -s, c
    R[:, 1, 1], R[:, 1, 2] = c, s
    R[:, 2, 0] = -1.0
    return R


def rotation_vectors(vector: Array) -> Array:
    """Rotations of rotation vectors (Rodrigues). Shape (T, 3) -> (T, 3, 3)."""
    angle = np.linalg.norm(vector, axis=1)
    axis = vector / np.maximum(angle, 1e-12)[:, None]
    K = np.zeros((len(vector), 3, 3))
    K[:, 0, 1], K[:, 0, 2] = -axis[:, 2], axis[:, 1]
    K[:, 1, 0], K[:, 1, 2] = axis[:, 2], -axis[:, 0]
    K[:, 2, 0], K[:, 2, 1] = -axis[:, 1], axis[:, 0]
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + s * K + (1.0 - c) * (K @ K)
