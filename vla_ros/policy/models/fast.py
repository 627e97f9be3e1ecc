"""FAST: chunks of actions as few tokens (Pertsch et al., 2025, arXiv:2501.09747).

A chunk's rows become the coefficients of a cosine transform, scaled and rounded; written as text,
one character each, lowest frequency first and within it all action elements, they are compressed
by byte-pair encoding. A folder holds ``tokenizer.json`` and ``processor_config.json``, as published
by Physical Intelligence.

The reference decoder answers zeros, a command to go to the mean pose, for a sequence it cannot
read. Here that is a fault.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from vla_ros.errors import VlaError

PALIGEMMA_VOCABULARY = 257_152
PALIGEMMA_SKIPPED = 128
"""PaliGemma's last ids are not used: they are its own special tokens."""

_UNREADABLE = "\ufffd"


class FastError(VlaError):
    """A chunk that cannot be written as tokens, or tokens that are no chunk."""


@dataclass(frozen=True, kw_only=True)
class FastTokenizer:
    """Chunks to tokens and back.

    Attributes:
        text: The byte-pair encoding.
        scale: Coefficients are multiplied by it before they are rounded.
        min_token: The lowest rounded coefficient that has a character; what lies below is cut.
        horizon: Rows T of a chunk; None: told when decoding (the universal tokenizer).
        action_dim: Action elements A; None as well.
    """

    text: Tokenizer
    scale: float
    min_token: int
    horizon: int | None = None
    action_dim: int | None = None

    def encode(self, actions: npt.NDArray[np.floating]) -> list[int]:
        """Tokens of a chunk.

        Args:
            actions: Normalised, about -1 to 1. Shape (T, A).

        Raises:
            FastError: It is no such chunk.
        """
        expected = (self.horizon or actions.shape[0], self.action_dim or actions.shape[-1])
        if actions.ndim != 2 or actions.shape != expected or not np.isfinite(actions).all():
            raise FastError(f"expected a finite chunk of {expected}, got shape {actions.shape}")
        rounded = quantise(actions, self.scale)
        return list(self.text.encode(_write(rounded, self.min_token)).ids)

    def decode(
        self,
        tokens: Sequence[int],
        *,
        horizon: int | None = None,
        action_dim: int | None = None,
    ) -> npt.NDArray[np.float64]:
        """The chunk of some tokens. Shape (T, A).

        Args:
            tokens: What `encode` gives, or what a model made up.
            horizon: Rows, where the tokenizer does not say.
            action_dim: Action elements, where the tokenizer does not say.

        Raises:
            FastError: The tokens are no chunk of that size.
        """
        rows, width = self.horizon or horizon, self.action_dim or action_dim
        if rows is None or width is None:
            raise FastError("this tokenizer is for all sizes; say horizon and action_dim")
        size = self.text.get_vocab_size()
        strange = [token for token in tokens if not 0 <= token < size]
        if strange:
            raise FastError(f"tokens {strange[:5]} are none; expected numbers below {size}")
        text = self.text.decode(list(tokens), skip_special_tokens=False)
        if len(text) != rows * width or _UNREADABLE in text:
            raise FastError(
                f"{len(tokens)} tokens hold {len(text)} coefficients, expected {rows} x {width}; "
                "the model's answer was cut off or is malformed, ask again"
            )
        coefficients = np.array([ord(c) for c in text]).reshape(rows, width) + self.min_token
        actions: npt.NDArray[np.float64] = _cosines(rows).T @ (coefficients / self.scale)
        return actions

    def save(self, folder: Path) -> None:
        """Write the two files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.text.save(str(folder / "tokenizer.json"))
        config = {
            "processor_class": "UniversalActionProcessor",
            "scale": self.scale,
            "vocab_size": self.text.get_vocab_size(),
            "min_token": self.min_token,
            "action_dim": self.action_dim,
            "time_horizon": self.horizon,
        }
        (folder / "processor_config.json").write_text(json.dumps(config, indent=1) + "\n")


def load_fast(folder: Path) -> FastTokenizer:
    """Read a folder.

    Raises:
        FastError: A file is missing or damaged, or the two do not belong together.
    """
    try:
        config = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
        text = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer = FastTokenizer(
            text=text,
            scale=float(config["scale"]),
            min_token=int(config["min_token"]),
            horizon=config.get("time_horizon"),
            action_dim=config.get("action_dim"),
        )
    except Exception as error:  # tokenizers raises bare Exception
        raise FastError(
            f"'{folder}' is no FAST tokenizer ({error!r}); it needs processor_config.json and "
            "tokenizer.json of one publication"
        ) from error
    if config.get("vocab_size", text.get_vocab_size()) < text.get_vocab_size():
        raise FastError(
            f"'{folder}': processor_config.json says {config['vocab_size']} tokens, tokenizer.json "
            f"has {text.get_vocab_size()}; the two do not belong together"
        )
    return tokenizer


def fit_fast(
    chunks: npt.NDArray[np.floating], *, scale: float = 10.0, vocabulary: int = 1024
) -> FastTokenizer:
    """A tokenizer for the chunks of a dataset.

    Args:
        chunks: Normalised, about -1 to 1. Shape (N, T, A).
        scale: See `FastTokenizer`.
        vocabulary: Number of tokens.

    Raises:
        FastError: The chunks are not finite, or need more characters than there are tokens.
    """
    if chunks.ndim != 3 or not chunks.size or not np.isfinite(chunks).all():
        raise FastError(f"expected finite chunks of shape (N, T, A), got shape {chunks.shape}")
    rounded = [quantise(chunk, scale) for chunk in chunks]
    lowest, highest = min(q.min() for q in rounded), max(q.max() for q in rounded)
    if highest - lowest + 1 > vocabulary:
        raise FastError(
            f"{highest - lowest + 1} different coefficients do not fit {vocabulary} tokens; "
            "take a smaller scale or more tokens"
        )
    text = Tokenizer(models.BPE())
    text.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    text.decoder = decoders.ByteLevel()
    text.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=[chr(i) for i in range(highest - lowest + 1)],
        max_token_length=10_000,
    )
    text.train_from_iterator((_write(q, lowest) for q in rounded), trainer=trainer)
    return FastTokenizer(
        text=text,
        scale=scale,
        min_token=int(lowest),
        horizon=chunks.shape[1],
        action_dim=chunks.shape[2],
    )


def quantise(actions: npt.NDArray[np.floating], scale: float) -> npt.NDArray[np.int64]:
    """Rounded coefficients, frequencies along the first axis. Shape (T, A) -> same."""
    coefficients = _cosines(len(actions)) @ actions.astype(np.float64)
    return np.rint(coefficients * scale).astype(np.int64)


def paligemma_ids(
    tokens: Sequence[int],
    vocabulary: int = PALIGEMMA_VOCABULARY,
    skipped: int = PALIGEMMA_SKIPPED,
) -> list[int]:
    """FAST tokens at the end of PaliGemma's vocabulary, last one first (pi0-FAST)."""
    return [vocabulary - 1 - skipped - token for token in tokens]


def from_paligemma_ids(
    ids: Sequence[int],
    vocabulary: int = PALIGEMMA_VOCABULARY,
    skipped: int = PALIGEMMA_SKIPPED,
) -> list[int]:
    """The inverse of `paligemma_ids`; `FastTokenizer.decode` checks the range."""
    return paligemma_ids(ids, vocabulary, skipped)


def _write(rounded: npt.NDArray[np.int64], lowest: int) -> str:
    return "".join(map(chr, np.maximum(rounded.reshape(-1) - lowest, 0)))


def _cosines(count: int) -> npt.NDArray[np.float64]:
    """Orthonormal DCT-II, one frequency a row. Shape (count, count)."""
    k, t = np.arange(count)[:, None], np.arange(count)
    out = np.sqrt(2.0 / count) * np.cos(np.pi * (2 * t + 1) * k / (2 * count))
    out[0] /= np.sqrt(2.0)
    return out
