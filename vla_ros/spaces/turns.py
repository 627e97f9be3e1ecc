"""Joints that turn without end: the same pose at every whole turn.

Policies and drivers count such a joint from -pi to pi and jump at the seam; whoever moves it must
not. Rows are therefore read as going the short way from one to the next, and the first of them as
near as can be to where the joint is.

Axis letters: T rows, A elements.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
TURN = 2.0 * np.pi


def wrapped(values: FloatArray, turning: npt.NDArray[np.bool_]) -> FloatArray:
    """The turning elements counted from -pi to pi. Shape (..., A)."""
    out = np.array(values)
    out[..., turning] = np.remainder(out[..., turning] + np.pi, TURN) - np.pi
    return out


def continued(
    rows: FloatArray, turning: npt.NDArray[np.bool_], near: FloatArray, at: int = 0
) -> FloatArray:
    """Rows that say the same without jumps: each the short way from the one before.

    Args:
        rows: Finite. Shape (T, A).
        turning: Elements that turn without end; the others are left alone. Shape (A,).
        near: Row ``at`` comes to lie within half a turn of this. Shape (A,).
        at: Index of the row that begins.

    Returns:
        Shape (T, A).
    """
    if not turning.any():
        return rows
    out = rows.copy()
    turns = np.unwrap(rows[:, turning], axis=0)
    out[:, turning] = turns + TURN * np.round((near[turning] - turns[at]) / TURN)
    return out
