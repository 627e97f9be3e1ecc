"""One size of vector for all robots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_ros.policy.processors.base import Floats, ProcessorError


@dataclass(frozen=True)
class ZeroPadding:
    """Zeros behind the last element, up to the size the network has.

    Attributes:
        size: Elements that mean something.
        padded: Elements the network has; at least ``size``.
    """

    size: int
    padded: int

    def __post_init__(self) -> None:
        if not 0 < self.size <= self.padded:
            raise ProcessorError(
                f"{self.size} elements do not fit the network's {self.padded}; "
                "use a checkpoint made for this robot"
            )

    def apply(self, x: Floats) -> Floats:
        """Shape (..., size) -> (..., padded)."""
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, self.padded - self.size)])

    def invert(self, x: Floats) -> Floats:
        """Shape (..., padded) -> (..., size)."""
        return x[..., : self.size]
