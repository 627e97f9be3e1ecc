"""Why there is no observation: said in words, with the consequence the robot file declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Consequence = Literal["skip", "stop"]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Something that would have had to be invented, and was refused instead.

    Attributes:
        stream: camera key, or ``state``.
        what: what is wrong.
        expected: what should have been there.
        got: what was there.
        do: what a person can do about it.
        consequence: ``skip``: no observation now, the next may succeed; ``stop``: stop the robot.
    """

    stream: str
    what: str
    expected: str
    got: str
    do: str
    consequence: Consequence

    def __str__(self) -> str:
        return (
            f"{self.stream}: {self.what}; expected {self.expected}, got {self.got}; "
            f"{self.do} ({self.consequence})"
        )
