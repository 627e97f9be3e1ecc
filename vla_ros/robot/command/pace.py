"""How often an output is sent to."""

from __future__ import annotations


class Pace:
    """Counts control ticks between two messages to one output.

    Args:
        ticks: From one message to the next, at least 1.
    """

    def __init__(self, ticks: int) -> None:
        self._ticks = ticks
        self._left = 1

    def tick(self) -> bool:
        """A control period begins: may a message go now?"""
        self._left -= 1
        return self._left <= 0

    def sent(self) -> None:
        """A message went."""
        self._left = self._ticks

    def hurry(self) -> None:
        """The next message may go at once."""
        self._left = 0
