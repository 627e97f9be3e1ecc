"""Substitutions of launch files: ``$(name argument ...)`` inside a text, nested and quoted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Substitution = Callable[..., str]


def substitute(text: str, known: Mapping[str, Substitution]) -> str:
    r"""Replaces every ``$(name argument ...)`` in ``text``.

    Arguments are separated by blanks, may be quoted with ``'`` or ``"``, and may hold substitutions
    themselves; ``\$`` is a plain dollar sign.

    Args:
        text: For example ``"$(find-pkg-share vla_ros)/config/$(var robot).yaml"``.
        known: Name -> function from its arguments to the replacement.

    Raises:
        ValueError: Unknown name, wrong number of arguments, or a parenthesis or quote that is not
            closed.
    """
    result, position = _until(text, 0, known, stop="")
    assert position == len(text)
    return result


def _until(
    text: str, position: int, known: Mapping[str, Substitution], *, stop: str
) -> tuple[str, int]:
    """Reads up to one of the characters in ``stop`` (not consumed) or the end."""
    out: list[str] = []
    while position < len(text) and text[position] not in stop:
        if text.startswith("\\", position) and position + 1 < len(text):
            out.append(text[position + 1])
            position += 2
        elif text.startswith("$(", position):
            replacement, position = _call(text, position, known)
            out.append(replacement)
        else:
            out.append(text[position])
            position += 1
    return "".join(out), position


def _call(text: str, start: int, known: Mapping[str, Substitution]) -> tuple[str, int]:
    """Reads one ``$(...)`` that begins at ``start``; returns its replacement and the place after
    it.
    """
    words: list[str] = []
    position = start + 2
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position >= len(text):
            raise ValueError(f"{text[start:]!r} is not closed: expected `)`.")
        if text[position] == ")":
            break
        quote = text[position] if text[position] in "'\"" else ""
        word, position = _until(text, position + len(quote), known, stop=quote or ") \t\n")
        if quote:
            if position >= len(text):
                raise ValueError(f"{text[start:]!r}: the quote {quote} is not closed.")
            position += 1
        words.append(word)
    whole = text[start : position + 1]
    name, arguments = (words[0], words[1:]) if words else ("", [])
    if name not in known:
        names = ", ".join(f"$({n} ...)" for n in known)
        raise ValueError(f"substitution {whole} is not supported; known: {names}.")
    try:
        return known[name](*arguments), position + 1
    except TypeError as error:
        raise ValueError(f"{whole}: wrong number of arguments ({len(arguments)}).") from error
