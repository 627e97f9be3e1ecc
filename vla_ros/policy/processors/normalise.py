"""Statistics of the training data -> numbers around zero, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vla_ros.policy.processors.base import Floats, ProcessorError


class Normaliser(Protocol):
    """An element-wise transform with an inverse."""

    def apply(self, x: Floats) -> Floats:
        """Robot's units -> network's."""
        ...

    def invert(self, x: Floats) -> Floats:
        """Network's units -> robot's."""
        ...


@dataclass(frozen=True)
class Identity:
    """Nothing: the network takes the robot's own units."""

    def apply(self, x: Floats) -> Floats:
        """Unchanged."""
        return x

    def invert(self, x: Floats) -> Floats:
        """Unchanged."""
        return x


@dataclass(frozen=True)
class MeanStd:
    """``(x - mean) / std`` element by element.

    Attributes:
        mean: Shape of the last axes of what it is applied to.
        std: Same shape; all above zero.
        eps: Added to ``std`` on the way in.
        eps_back: Added to ``std`` on the way back (openpi adds it on both ways).
    """

    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]
    eps: float = 0.0
    eps_back: float = 0.0

    def __post_init__(self) -> None:
        if self.mean.shape != self.std.shape:
            raise ProcessorError(f"mean has shape {self.mean.shape}, std {self.std.shape}.")
        _refuse_not_finite(self.mean, self.std)
        if (self.std <= 0).any():
            raise ProcessorError(
                "A standard deviation is zero or negative: the element never changed in the data "
                f"(elements {np.argwhere(self.std <= 0).tolist()[:5]})."
            )

    def apply(self, x: Floats) -> Floats:
        """Shape (..., *mean.shape) -> same."""
        return (x - self.mean) / (self.std + self.eps if self.eps else self.std)

    def invert(self, x: Floats) -> Floats:
        """Shape (..., *mean.shape) -> same."""
        return x * (self.std + self.eps_back if self.eps_back else self.std) + self.mean


@dataclass(frozen=True)
class Range:
    """``low`` .. ``high`` -> -1 .. 1 element by element; what lies outside is not clipped.

    Attributes:
        low: For example the first percentile. Shape of the last axis.
        high: For example the 99th; above ``low``.
        eps: Added to the span on both ways.
    """

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    eps: float = 0.0

    def __post_init__(self) -> None:
        if self.low.shape != self.high.shape:
            raise ProcessorError(f"low has shape {self.low.shape}, high {self.high.shape}.")
        _refuse_not_finite(self.low, self.high)
        if (self.high <= self.low).any():
            raise ProcessorError(
                "A range is empty: the element never changed in the data "
                f"(elements {np.argwhere(self.high <= self.low).tolist()[:5]})."
            )

    def apply(self, x: Floats) -> Floats:
        """Shape (..., *low.shape) -> same."""
        return 2.0 * (x - self.low) / (self.high - self.low + self.eps) - 1.0

    def invert(self, x: Floats) -> Floats:
        """Shape (..., *low.shape) -> same."""
        return (x + 1.0) * (self.high - self.low + self.eps) / 2.0 + self.low


def _refuse_not_finite(*statistics: Floats) -> None:
    if not all(np.isfinite(values).all() for values in statistics):
        raise ProcessorError("Statistics hold NaN or infinity.")
