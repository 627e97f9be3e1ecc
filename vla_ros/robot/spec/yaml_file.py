"""A YAML file as plain values, with the line of each, so that errors can point at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vla_ros.errors import VlaError


class YamlFileError(VlaError):
    """A file cannot be read, is no YAML mapping, or repeats a key."""


@dataclass(frozen=True)
class YamlFile:
    """One parsed file.

    Attributes:
        path: the file.
        text: its text.
        values: its content.
    """

    path: Path
    text: str
    values: dict[str, Any]
    _root: yaml.Node

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """Parse a file.

        Raises:
            YamlFileError: unreadable, no mapping, malformed, or a key occurs twice.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise YamlFileError(f"{path}: cannot be read ({error}); check the path") from None
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise YamlFileError(f"{path}: is no YAML: {error}") from None
        if not isinstance(values, dict) or not isinstance(root, yaml.MappingNode):
            raise YamlFileError(
                f"{path}: expected a mapping (key: value), got {type(values).__name__}"
            )
        _refuse_repeats(path, root)
        return cls(path, text, values, root)

    def where(self, location: Sequence[str | int]) -> str:
        """``file:line: dotted.path`` of a value, or of the closest thing around it."""
        node, line = self._root, self._root.start_mark.line
        for part in location:
            step = _child(node, part)
            if step is not None:  # else a key that is missing, or the name of a kind
                node, line = step
        return f"{self.path}:{line + 1}: {_dotted(location)}"


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line
    return None


def _dotted(location: Sequence[str | int]) -> str:
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location)
    return text.lstrip(".") or "the file"


def _refuse_repeats(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_repeats(path, child)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise YamlFileError(
                    f"{path}:{line}: key '{key.value}' was given on line {seen[key.value]} "
                    "already; keep one of them"
                )
            seen[key.value] = line
            _refuse_repeats(path, value)
