"""Actions relative to the state."""

from __future__ import annotations

from dataclasses import dataclass

from vla_ros.policy.processors.base import Floats


@dataclass(frozen=True)
class RelativeActions:
    """Actions minus the state the model was fed, for the elements that command a state element.

    Attributes:
        action_index: Elements of the action vector. Shape (R,).
        state_index: The state elements they command. Shape (R,).
    """

    action_index: tuple[int, ...]
    state_index: tuple[int, ...]

    def apply(self, actions: Floats, state: Floats) -> Floats:
        """Absolute -> relative. Shapes (..., T, A), (..., S) -> (..., T, A)."""
        out = actions.copy()
        out[..., self.action_index] -= state[..., None, self.state_index]
        return out

    def invert(self, actions: Floats, state: Floats) -> Floats:
        """Relative -> absolute. Shapes (..., T, A), (..., S) -> (..., T, A)."""
        out = actions.copy()
        out[..., self.action_index] += state[..., None, self.state_index]
        return out
