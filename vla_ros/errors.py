"""The root of every error that this package raises on purpose."""

from __future__ import annotations


class VlaError(Exception):
    """Something a user can act on.

    The text says what went wrong, what was expected, what was found, and what to do about it.
    Subclass it next to the code that raises it; catch it at the edges (nodes, commands).
    """
