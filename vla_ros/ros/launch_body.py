"""The keys of one action of a launch file, read with substitutions and refused with their place."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vla_ros.ros.launch_plan import LaunchFileError
from vla_ros.ros.launch_text import substitute


@dataclass
class Scope:
    """Launch configurations, environment and namespace; a group gets a copy."""

    variables: dict[str, str]
    environment: dict[str, str]
    namespace: str = ""

    def copy(self) -> Scope:
        """One whose changes stay its own."""
        return Scope(dict(self.variables), dict(self.environment), self.namespace)


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What substitutions read from elsewhere.

    Attributes:
        find_share: Package name -> its share folder; raises LookupError when there is none.
        environ: Environment that ``$(env ...)`` reads.
    """

    find_share: Callable[[str], Path]
    environ: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Body:
    """One action, or an entry of one such as ``param: [{name: a, value: 1}]``.

    Attributes:
        raw: Its keys and values as they stand in the file.
        scope: Where it is read.
        outside: What it may look up.
        file: The launch file.
        place: Where in it.
    """

    raw: dict[str, Any]
    scope: Scope
    outside: Outside
    file: Path
    place: str

    def only(self, known: Sequence[str]) -> None:
        """Refuse other keys."""
        for key in self.raw:
            if key not in known:
                raise self.error(f"key `{key}` is not supported{near(key, known)}.", key)

    def entries(self, key: str, known: Sequence[str]) -> list[Body]:
        """A list of small mappings with these keys; absent means empty."""
        entries = self.raw.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise self.error(f"expected a list of mappings, got {show(entries)}.", key)
        found = [
            replace(self, raw=entry, place=f"{self.place}.{key}[{index}]")
            for index, entry in enumerate(entries)
        ]
        for entry in found:
            entry.only(known)
        return found

    def text(self, key: str, *, default: str | None = None) -> str:
        """The text below a key, which must be there unless there is a default."""
        if key not in self.raw:
            if default is None:
                raise self.error(f"needs the key `{key}`.")
            return default
        if not isinstance(self.raw[key], str):  # launch_yaml refuses it too
            raise self.error(f"expected text, got {show(self.raw[key])}; put it in quotes.", key)
        return str(self.value(key))

    def value(self, key: str) -> Any:
        """Whatever is below a key; in a text every substitution is done."""
        raw = self.raw[key]
        if not isinstance(raw, str):
            return raw

        def variable(name: str) -> str:
            if name not in self.scope.variables:
                raise self.error(
                    f"$(var {name}): no such argument{near(name, self.scope.variables)}.", key
                )
            return self.scope.variables[name]

        def environment(name: str, default: str | None = None) -> str:
            found = self.scope.environment.get(name, self.outside.environ.get(name, default))
            if found is None:
                raise self.error(f"$(env {name}): not set, and no default given.", key)
            return found

        def share(package: str) -> str:
            try:
                return str(self.outside.find_share(package))
            except LookupError as error:
                raise self.error(
                    f"package `{package}` not found; source install/setup.bash first.", key
                ) from error

        try:
            return substitute(raw, {"var": variable, "env": environment, "find-pkg-share": share})
        except ValueError as error:
            raise self.error(str(error), key) from error

    def error(self, text: str, key: str = "") -> LaunchFileError:
        """What is wrong here, or below a key."""
        place = f"{self.place}.{key}" if key else self.place
        return LaunchFileError(f"{self.file}: {place}: {text}")


def show(value: object) -> str:
    """A value for an error, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def near(word: object, known: Iterable[str]) -> str:
    """The known word that was meant, else all of them, for the end of an error."""
    names = list(known)
    close = difflib.get_close_matches(str(word), names, n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; known: {', '.join(names)}" if names else ""
