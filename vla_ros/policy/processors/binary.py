"""Binary action elements."""

from __future__ import annotations

from dataclasses import dataclass

from vla_ros.policy.processors.base import Floats


@dataclass(frozen=True)
class SignBinary:
    """Binary elements: 0 or 1 outside, -1 or +1 inside; the network's answer is cut at zero.

    Attributes:
        index: Binary elements of the action vector.
    """

    index: tuple[int, ...]

    def apply(self, actions: Floats) -> Floats:
        """Shape (..., A) -> same."""
        out = actions.copy()
        out[..., self.index] = 2.0 * out[..., self.index] - 1.0
        return out

    def invert(self, actions: Floats) -> Floats:
        """Shape (..., A) -> same; exactly 0 or 1 at the binary elements."""
        out = actions.copy()
        out[..., self.index] = out[..., self.index] > 0.0
        return out
