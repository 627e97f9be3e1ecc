"""Words of a small, fixed vocabulary -> numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vla_ros.policy.processors.base import ProcessorError


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
