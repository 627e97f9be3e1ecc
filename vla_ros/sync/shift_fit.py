"""How well the joints' motion, shifted in time, explains how pictures change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

_RIDGE = 1e-9


class ShiftFit:
    """Between two pictures, the further the joints went, the more the picture changed.

    How much depends on the pose (what is in view, how near). So joints are weighted once for the
    whole recording, and in each window of a second or so the changes have a gain of their own,
    which may drift, and noise of their own.

    Args:
        starts: stamps of the first of two pictures, in windows. Shape (W, n).
        ends: stamps of the picture after it. Shape (W, n).
        changes: how different the two are. Shape (W, n).
        joint_stamps: rising. Shape (M,).
        positions: Shape (M, S).

    Attributes:
        power: squared changes of each window about their mean. Shape (W,).
    """

    def __init__(
        self,
        starts: Stamps,
        ends: Stamps,
        changes: FloatArray,
        joint_stamps: Stamps,
        positions: FloatArray,
    ) -> None:
        self._origin = int(joint_stamps[0])
        self._times = (joint_stamps - self._origin).astype(np.float64)
        self._starts, self._ends = starts - self._origin, ends - self._origin
        self._changes = _about_mean(changes)
        self._positions = positions
        self.power: FloatArray = np.sum(self._changes**2, axis=1)

    def errors(self, shift_ns: int) -> FloatArray:
        """Squared errors of the fit in each window. Shape (W,)."""
        went = np.stack([np.abs(self._way(c, shift_ns)) for c in self._positions.T], axis=-1)
        went = _about_mean(went)
        gram = np.einsum("wni,wnj->ij", went, went)
        cross = np.einsum("wni,wn->i", went, self._changes)
        ridge = _RIDGE * np.trace(gram) * np.eye(len(gram))
        weights = np.clip(np.linalg.solve(gram + ridge, cross), 0, None)
        expected = went @ weights
        drift = np.linspace(-1, 1, expected.shape[1])
        basis = _about_mean(np.stack((expected, expected * drift), axis=-1))
        gram = np.einsum("wni,wnj->wij", basis, basis)
        cross = np.einsum("wni,wn->wi", basis, self._changes)
        gram += (_RIDGE * np.trace(gram, axis1=1, axis2=2) + 1e-30)[:, None, None] * np.eye(2)
        gains = np.linalg.solve(gram, cross[..., None])[..., 0]
        errors: FloatArray = self.power - np.sum(gains * cross, axis=1)
        return errors

    def _way(self, column: FloatArray, shift_ns: int) -> FloatArray:
        before, after = (
            np.interp((t - shift_ns).astype(np.float64), self._times, column)
            for t in (self._starts, self._ends)
        )
        way: FloatArray = after - before
        return way


def _about_mean(values: FloatArray) -> FloatArray:
    centred: FloatArray = values - values.mean(axis=1, keepdims=True)
    return centred
