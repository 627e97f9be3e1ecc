"""The root of every error that this package raises on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class VlaError(Exception):
    """Something a user can act on.

    The text says what went wrong, what was expected, what was found, and what to do about it.
    Subclass it next to the code that raises it; catch it at the edges (nodes, commands).
    """


def mistakes(error: ValidationError, whole: str = "file") -> str:
    """Every mistake that pydantic found, by its key.

    Args:
        error: What it raised.
        whole: What to call a mistake of the whole.
    """
    return "; ".join(
        f"{'.'.join(map(str, mistake['loc'])) or whole}: {mistake['msg']}"
        for mistake in error.errors()
    )
