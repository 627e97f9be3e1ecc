"""Between the robot's numbers and the network's numbers: frozen transforms with inverses.

The same objects serve training and inference, so the two cannot drift apart. Actions go forward
in the order relative -> normalise -> sign and come back in the reverse order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

Floats = npt.NDArray[np.floating[Any]]


class ProcessorError(VlaError):
    """A value that cannot be brought into the network's space."""


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


@dataclass(frozen=True)
class MeanStd:
    """``(x - mean) / std`` element by element.

    Attributes:
        mean: Shape of the last axes of what it is applied to.
        std: Same shape; all above zero.
    """

    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.mean.shape != self.std.shape:
            raise ProcessorError(f"mean has shape {self.mean.shape}, std {self.std.shape}.")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all()):
            raise ProcessorError("Statistics hold NaN or infinity.")
        if (self.std <= 0).any():
            raise ProcessorError(
                "A standard deviation is zero or negative: the element never changed in the data."
            )

    def apply(self, x: Floats) -> Floats:
        """Shape (..., *mean.shape) -> same."""
        return (x - self.mean) / self.std

    def invert(self, x: Floats) -> Floats:
        """Shape (..., *mean.shape) -> same."""
        return x * self.std + self.mean


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


@dataclass(frozen=True)
class WordTokenizer:
    """Lower-case words -> numbers. 0 is padding, 1 an unknown word, then the vocabulary.

    Attributes:
        vocabulary: Known words.
        max_words: Longest instruction.
    """

    vocabulary: tuple[str, ...]
    max_words: int
    _number: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        number = {word: index + 2 for index, word in enumerate(self.vocabulary)}
        object.__setattr__(self, "_number", number)

    @property
    def size(self) -> int:
        """Size of the word table."""
        return len(self.vocabulary) + 2

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """Numbers of the words, padded with 0. Shape (max_words,).

        Raises:
            ProcessorError: No word, no known word, or more than ``max_words`` words.
        """
        words = split_words(text)
        if not words or len(words) > self.max_words:
            raise ProcessorError(
                f"The instruction has {len(words)} words, expected 1 to {self.max_words}. "
                "Say it shorter, one task at a time."
            )
        numbers = [self._number.get(word, 1) for word in words]
        if all(number == 1 for number in numbers):
            raise ProcessorError(f"The policy knows none of the words of '{text}'.")
        return np.array(numbers + [0] * (self.max_words - len(words)), np.int64)

    def encode_many(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Shape (len(texts), max_words)."""
        return np.stack([self.encode(text) for text in texts])


def split_words(text: str) -> list[str]:
    """Split into lower-case words; everything but letters and ``<unk>`` separates."""
    return re.findall(r"<unk>|[a-z]+", text.lower().replace("'", ""))
