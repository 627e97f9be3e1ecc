"""Actions as one token per element: RT-1, RT-2 and OpenVLA.

Each element's range in the training data is cut into equal bins: 256 of its whole range in RT-1 and
RT-2 (Brohan et al., 2023, arXiv:2307.15818), 255 between the first and the 99th percentile in
OpenVLA (Kim et al., 2024, arXiv:2406.09246), whose 256 numbers are the edges. A bin is decoded to
its middle, so decoding is off by half a bin at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

TOKENS = 256
"""Ids of the vocabulary that are actions."""


class BinError(VlaError):
    """A value that has no bin, or a token that is none."""


@dataclass(frozen=True, kw_only=True)
class BinnedActions:
    """Actions to bins and back, element by element.

    Attributes:
        low: Lower end of each element's range. Shape (A,).
        high: Upper end; above ``low``. Shape (A,).
        bins: Number of bins.
    """

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    bins: int = 256

    def __post_init__(self) -> None:
        fits = self.low.shape == self.high.shape and self.low.ndim == 1 and self.bins >= 2
        if (
            not fits
            or not np.isfinite([self.low, self.high]).all()
            or (self.high <= self.low).any()
        ):
            raise BinError(
                f"expected finite ranges of shape (A,) that are not empty, and 2 bins or more, got "
                f"{self.low} to {self.high} in {self.bins}; an element that never changes in the "
                "data has no range, leave it out"
            )

    def encode(self, actions: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """Bins of some actions; what lies outside the range is in the outermost bin.

        Args:
            actions: Shape (..., A).

        Raises:
            BinError: They are not finite, or of another number of elements.
        """
        if actions.shape[-1:] != self.low.shape or not np.isfinite(actions).all():
            raise BinError(f"expected finite actions (..., {len(self.low)}), got {actions.shape}")
        share = (actions - self.low) / (self.high - self.low)
        return np.clip(np.floor(share * self.bins), 0, self.bins - 1).astype(np.int64)

    def decode(self, bins: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """The middles of some bins. Shape (..., A) -> same.

        Raises:
            BinError: A number is no bin, or there are not A in a row.
        """
        if bins.shape[-1:] != self.low.shape or ((bins < 0) | (bins >= self.bins)).any():
            raise BinError(
                f"expected numbers below {self.bins} of shape (..., {len(self.low)}), got {bins}; "
                "the model's answer is malformed, ask again"
            )
        out: npt.NDArray[np.float64] = self.low + (bins + 0.5) / self.bins * (self.high - self.low)
        return out


def fit_bins(
    actions: npt.NDArray[np.floating], *, quantile: float = 0.01, bins: int = 256
) -> BinnedActions:
    """Bins for the actions of a dataset.

    Args:
        actions: Shape (N, A).
        quantile: Share of the data below the range, and above it; 0 for RT-1 and RT-2.
        bins: Number of bins.

    Raises:
        BinError: An element never changes.
    """
    low, high = np.quantile(actions, [quantile, 1.0 - quantile], axis=0)
    return BinnedActions(low=low, high=high, bins=bins)


def token_ids(bins: npt.NDArray[np.integer], vocabulary: int) -> list[int]:
    """Bins at the end of a language model's vocabulary, the lowest bin last (OpenVLA).

    Args:
        bins: Any shape, written row by row.
        vocabulary: Number of the language model's tokens, without padding.
    """
    return [vocabulary - 1 - int(number) for number in bins.reshape(-1)]


def from_token_ids(ids: Sequence[int], vocabulary: int, width: int) -> npt.NDArray[np.int64]:
    """The inverse of `token_ids`. Shape (len(ids) / width, width).

    Raises:
        BinError: They are no whole number of rows.
    """
    if not ids or len(ids) % width:
        raise BinError(f"expected rows of {width} tokens, got {len(ids)}; the answer was cut off")
    return (vocabulary - 1 - np.asarray(ids, np.int64)).reshape(-1, width)


@dataclass(frozen=True, kw_only=True)
class ActionTokens:
    """Chunks as ids of a vocabulary, and back.

    Attributes:
        bins: Of each action element.
        vocabulary: Ids of the language model, without padding.
        horizon: Rows of a chunk.
    """

    bins: BinnedActions
    vocabulary: int
    horizon: int

    @property
    def count(self) -> int:
        """Ids of one chunk."""
        return self.horizon * len(self.bins.low)

    def write(self, chunk: npt.NDArray[np.floating]) -> list[int]:
        """What the model should say. Shape (T, A) -> ids, row by row.

        Raises:
            BinError: It is not finite or has another number of elements.
        """
        return token_ids(self.bins.encode(chunk), self.vocabulary)

    def read(self, ids: list[int]) -> npt.NDArray[np.float64]:
        """The chunk of what a model said. Shape (T, A).

        Raises:
            BinError: It is too short or too long, or not all of it are actions.
        """
        if len(ids) != self.count:
            raise BinError(
                f"the model said {len(ids)} tokens, expected {self.horizon} rows of "
                f"{len(self.bins.low)}; nothing is sent"
            )
        numbers = from_token_ids(ids, self.vocabulary, len(self.bins.low))
        strange = sorted(set(ids) - set(range(self.vocabulary - TOKENS, self.vocabulary)))
        if strange:
            raise BinError(
                f"the model said the tokens {strange[:5]}, which are no actions (those are "
                f"{self.vocabulary - TOKENS} to {self.vocabulary - 1}); nothing is sent"
            )
        # 255 bins have 256 edges, and OpenVLA's last id is the upper edge itself.
        return self.bins.decode(np.minimum(numbers, self.bins.bins - 1))
