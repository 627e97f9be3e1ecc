"""How likely the pictures are, when each shows the joints as they were a given shift before.

A camera that sees the robot, or is carried by it, shows a picture that depends on the pose. So the
pictures are taken for an unknown smooth function of the joint positions: every pixel is a Gaussian
process over them (Rasmussen & Williams 2006, chapter 5), with a constant that the data remove
(restricted likelihood: Patterson & Thompson 1971). With the right shift the function is smooth;
with a wrong one the same pose shows two pictures, one on the way there and one on the way back.
Each picture is an instant, so nothing of the time between two pictures goes into the shift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

WINDOW = 48  # pictures; each window has a function of its own, so that slow light does no harm
_STILL = 0.02  # rad or m; a joint that moves by less counts by its share of this
_TINY = 1e-6  # grey levels squared; pictures that never change are not infinitely likely
_NOISES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
_SWEEPS = 2


@dataclass(frozen=True, kw_only=True)
class Smoothness:
    """How pictures depend on the pose.

    Attributes:
        weights: what a joint's whole range counts, one over the length in which a picture becomes
            another. Shape (S,).
        noise: variance of what the pose does not explain, by that of what it does.
    """

    weights: FloatArray
    noise: float


class ShiftFit:
    """The pictures of a recording, in windows, against its joints.

    Args:
        stamps: of the pictures [ns]. Shape (N,).
        pictures: small and grey. Shape (N, P).
        joint_stamps: rising [ns]. Shape (M,).
        positions: Shape (M, S).
    """

    def __init__(
        self,
        stamps: Stamps,
        pictures: npt.NDArray[np.float32],
        joint_stamps: Stamps,
        positions: FloatArray,
    ) -> None:
        self._origin = int(joint_stamps[0])
        self._joint_times = (joint_stamps - self._origin).astype(np.float64)
        self._positions = positions / np.maximum(np.ptp(positions, axis=0), _STILL)
        count = len(stamps) // WINDOW
        self._stamps = stamps[: count * WINDOW].reshape(count, WINDOW) - self._origin
        shown = pictures[: count * WINDOW].astype(np.float64)
        shown -= shown.mean(axis=1, keepdims=True)  # exposure and flicker make all pixels brighter
        shown = shown.reshape(count, WINDOW, -1)
        shown -= shown.mean(axis=1, keepdims=True)
        self._products: FloatArray = shown @ shown.transpose(0, 2, 1) / shown.shape[2]
        self.start = Smoothness(weights=np.full(positions.shape[1], 3.0), noise=1e-3)

    def __len__(self) -> int:
        return len(self._stamps)

    def unlikelihood(self, shift_ns: int, smooth: Smoothness, every: int = 1) -> FloatArray:
        """Negative log-likelihood of each window, or of every n-th. Shape (W,)."""
        covariance = self._covariance(shift_ns, smooth, every)
        factor = np.linalg.cholesky(covariance)
        logs = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1) - np.log(smooth.noise)
        products = self._products[::every]
        inside = np.trace(np.linalg.solve(covariance, products), axis1=1, axis2=2)
        degrees = WINDOW - 1
        result: FloatArray = 0.5 * (logs + degrees * np.log(inside / degrees + _TINY))
        return result

    def explained(self, shift_ns: int, smooth: Smoothness) -> float:
        """Share of the variance of left-out pictures that the others of the window foretell."""
        inverse = np.linalg.inv(self._covariance(shift_ns, smooth, 1))
        inverse -= 1 / (WINDOW * smooth.noise)
        missed = np.einsum("wij,wjk,wki->wi", inverse, self._products, inverse)
        missed /= np.diagonal(inverse, axis1=1, axis2=2) ** 2
        plain = np.trace(self._products, axis1=1, axis2=2) * (WINDOW / (WINDOW - 1)) ** 2
        return 1 - float(missed.sum() / max(plain.sum(), _TINY))

    def tuned(self, shift_ns: int, smooth: Smoothness, every: int) -> Smoothness:
        """The likeliest smoothness near this one; a joint that the camera does not see fades."""

        def cost(candidate: Smoothness) -> float:
            return float(self.unlikelihood(shift_ns, candidate, every).sum())

        least = cost(smooth)
        joints = np.eye(len(smooth.weights))
        factors = [np.full(len(joints), scale) for scale in (0.25, 0.5, 2.0, 4.0)]
        for _ in range(_SWEEPS):
            weighted = [replace(smooth, weights=smooth.weights * factor) for factor in factors]
            smooth, least = _best(cost, smooth, least, weighted)
            noisy = [replace(smooth, noise=noise) for noise in _NOISES]
            smooth, least = _best(cost, smooth, least, noisy)
            for joint in joints:
                alone = [
                    replace(smooth, weights=smooth.weights * scale**joint)
                    for scale in (1 / 30, 1 / 3, 3.0)
                ]
                smooth, least = _best(cost, smooth, least, alone)
        return smooth

    def _covariance(self, shift_ns: int, smooth: Smoothness, every: int) -> FloatArray:
        """Of the pictures about their mean: Matern 3/2 and noise. Shape (W, n, n)."""
        times = (self._stamps[::every] - shift_ns).astype(np.float64)
        at = np.stack(
            [np.interp(times, self._joint_times, column) for column in self._positions.T], axis=-1
        )
        at *= smooth.weights
        squares = np.sum(at**2, axis=2)
        squares = squares[:, :, None] + squares[:, None, :] - 2 * at @ at.transpose(0, 2, 1)
        far = np.sqrt(np.maximum(squares, 0))
        alike = (1 + far) * np.exp(-far)
        alike -= alike.mean(axis=1, keepdims=True)
        alike -= alike.mean(axis=2, keepdims=True)
        covariance: FloatArray = alike + smooth.noise * np.eye(WINDOW)
        return covariance


def _best(
    cost: Callable[[Smoothness], float],
    smooth: Smoothness,
    least: float,
    candidates: Iterable[Smoothness],
) -> tuple[Smoothness, float]:
    """The cheapest of one with known cost and some others."""
    for candidate in candidates:
        if (value := cost(candidate)) < least:
            smooth, least = candidate, value
    return smooth, least
