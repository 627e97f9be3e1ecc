"""Words that help with a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(got: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where a known name is close, else nothing."""
    near = difflib.get_close_matches(got, list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""
