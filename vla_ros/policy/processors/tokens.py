"""Text -> the numbers of a published tokenizer, read from a file.

Checkpoints name their tokenizer but do not contain it, so its ``tokenizer.json`` is brought along.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from vla_ros.policy.processors.base import ProcessorError

_PLACES = ("tokenizer.json", "tokenizer/tokenizer.json")


class TextTokenizer:
    """A tokenizer from a file, a folder or the Hugging Face hub.

    Args:
        folder: The checkpoint.
        declared: File or folder, relative to the checkpoint, or a name on the hub. None:
            tokenizer.json in the checkpoint or in its folder ``tokenizer``.
        usual: Name of the tokenizer that such checkpoints are trained with, for messages.
        words: Size of the network's word table.
        longest: Most tokens of a prompt.

    Raises:
        ProcessorError: It is not there, or has more words than the network.
    """

    def __init__(
        self, folder: Path, declared: str | None, *, usual: str, words: int, longest: int
    ) -> None:
        self._longest = longest
        self._usual = usual
        self._tokenizer = _load(folder, declared, usual)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if size > words:
            raise ProcessorError(
                f"the tokenizer has {size} words, the network {words}; bring the tokenizer.json "
                f"of {usual}"
            )

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """Numbers of the tokens, not padded. Shape (L,).

        Raises:
            ProcessorError: More tokens than the network was trained with; nothing is cut off.
        """
        ids = self._tokenizer.encode(text).ids
        if not 0 < len(ids) <= self._longest:
            raise ProcessorError(
                f"the prompt has {len(ids)} tokens, expected 1 to {self._longest}; say it shorter: "
                f"{text!r}"
            )
        return np.array(ids, np.int64)

    def plain(self, text: str) -> tuple[int, ...]:
        """Numbers of the tokens of a piece of text, without those that begin or end a prompt."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def number(self, token: str) -> int:
        """Number of one token, such as ``<eos>``.

        Raises:
            ProcessorError: It is none.
        """
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise ProcessorError(f"the tokenizer has no token '{token}'; bring {self._usual}'s")
        return int(number)


def _load(folder: Path, declared: str | None, usual: str) -> Tokenizer:
    places = [folder / place for place in _PLACES]
    if declared is not None:
        path = folder / Path(declared).expanduser()
        places = [path / "tokenizer.json" if path.is_dir() else path]
    for path in places:
        if path.is_file():
            try:
                return Tokenizer.from_file(str(path))
            except Exception as error:  # the library raises bare exceptions
                raise ProcessorError(
                    f"'{path}' is no tokenizer ({error}); copy it again"
                ) from error
    advice = (
        f"bring the tokenizer.json of {usual} and put it at '{folder / _PLACES[1]}', or name its "
        "place under 'tokenizer' in vla.yaml"
    )
    if declared is None or declared.startswith(("/", "~", ".")) or declared.count("/") != 1:
        raise ProcessorError(f"no tokenizer at {', '.join(map(str, places))}; {advice}")
    try:
        return Tokenizer.from_pretrained(declared)
    except Exception as error:  # offline, gated, unknown: the library raises several kinds
        raise ProcessorError(
            f"tokenizer '{declared}' cannot be fetched from the hub ({error}); {advice}"
        ) from error
