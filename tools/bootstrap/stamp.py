"""Stamps: what a stage was last finished for, so that a second set-up takes seconds.

A stage writes BUSY before it starts and its fingerprint as the last thing it does. So a stage that
was interrupted, however hard, is recognised and done again from nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

State = Literal["fresh", "finished", "changed", "interrupted"]

_BUSY = "busy"


class Stamp:
    """One stage's stamp.

    Args:
        path: The stamp file.
        fingerprint: What the stage depends on, see :func:`fingerprint`.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint

    def state(self) -> State:
        """Whether the stage was never done, is up to date, out of date, or was interrupted."""
        try:
            text = self._path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return "fresh"
        if text == self._fingerprint:
            return "finished"
        return "interrupted" if text in (_BUSY, "") else "changed"

    def begin(self) -> None:
        """Says that the stage is at work."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(_BUSY + "\n", encoding="utf-8")

    def finish(self) -> None:
        """Says that the stage is done."""
        self._path.write_text(self._fingerprint + "\n", encoding="utf-8")


def fingerprint(words: Iterable[str], files: Iterable[Path] = ()) -> str:
    """SHA-256 over words and the contents of files, as hexadecimal digits."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
