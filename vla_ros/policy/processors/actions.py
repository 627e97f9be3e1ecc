"""nano's steps between absolute actions and what its flow is trained on.

Actions go forward in the order relative -> normalise -> sign and come back in the reverse order.
"""

from __future__ import annotations

from dataclasses import dataclass

from vla_ros.policy.processors.base import Floats
from vla_ros.policy.processors.binary import SignBinary
from vla_ros.policy.processors.normalise import MeanStd
from vla_ros.policy.processors.relative import RelativeActions


@dataclass(frozen=True)
class ActionProcessor:
    """All steps between absolute actions and what the flow is trained on."""

    relative: RelativeActions
    normalise: MeanStd
    sign: SignBinary

    def apply(self, actions: Floats, state: Floats) -> Floats:
        """Absolute, SI -> network. Shapes (..., T, A), (..., S) -> (..., T, A)."""
        return self.sign.apply(self.normalise.apply(self.relative.apply(actions, state)))

    def invert(self, actions: Floats, state: Floats) -> Floats:
        """Network -> absolute, SI. Shapes (..., T, A), (..., S) -> (..., T, A)."""
        return self.relative.invert(self.normalise.invert(self.sign.invert(actions)), state)
