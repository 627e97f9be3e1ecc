"""Reads the package's modules as syntax trees, without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "vla_ros"


@dataclass(frozen=True, kw_only=True)
class Module:
    """One module: its dotted name, file, syntax tree and text."""

    name: str
    path: Path
    tree: ast.Module
    text: str

    @property
    def part(self) -> str:
        """The sub-package it belongs to; empty for the package itself."""
        words = self.name.split(".")
        is_package = self.path.name == "__init__.py"
        return words[1] if len(words) > 2 or (len(words) == 2 and is_package) else ""

    def imports(self) -> Iterator[tuple[str, int]]:
        """Every dotted name imported anywhere in it, with the line.

        Imports for type checkers only (``if TYPE_CHECKING:``) count: they are dependencies too.
        """
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, node.lineno
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    words = package.split(".")
                    base = ".".join([*words[: len(words) - node.level + 1], *filter(None, [base])])
                for alias in node.names:
                    yield f"{base}.{alias.name}", node.lineno


def modules() -> list[Module]:
    """Every module of vla_ros."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        words = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(words[:-1] if words[-1] == "__init__" else words)
        text = path.read_text(encoding="utf-8")
        found.append(Module(name=name, path=path, tree=ast.parse(text, str(path)), text=text))
    return found
