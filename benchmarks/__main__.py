"""`python -m benchmarks [NAME ...] [OPTION ...]`: all benchmarks, or those named, with options.

Options that only one benchmark has go to one alone: `python -m benchmarks sync --json sync.json`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("[a-z]*.py")
    if " arguments(__doc__" in path.read_text(encoding="utf-8")
)
"""What takes the options of every benchmark is one; the other modules are parts."""


def main() -> int:
    """Run each in a process of its own; 0 when every goal of all of them is met."""
    words = sys.argv[1:]
    count = next((k for k, word in enumerate(words) if word.startswith("-")), len(words))
    named, options = words[:count], words[count:]
    if not named and {"-h", "--help"} & set(options):
        print(__doc__, *(f"  {name:14}{_first_line(name)}" for name in NAMES), sep="\n")
        return 0
    unknown = sorted(set(named) - set(NAMES))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    return max(
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options]).returncode
        for name in named or NAMES
    )


def _first_line(name: str) -> str:
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
