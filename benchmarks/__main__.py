"""`python -m benchmarks [NAME ...] [OPTION ...]`: all benchmarks, or those named, with options.

Options that only one benchmark has go to one alone: `python -m benchmarks sync --json sync.json`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PARTS = (
    "controller_process",
    "harness",
    "latency_scenes",
    "mock_hardware",
    "motion_dds",
    "motion_figures",
    "motion_loop",
    "motion_rig",
    "sync_case",
)
NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if path.stem not in PARTS
)


def main() -> int:
    """Run each in a process of its own; 0 when every goal of all of them is met."""
    words = sys.argv[1:]
    count = next((k for k, word in enumerate(words) if word.startswith("-")), len(words))
    named, options = words[:count], words[count:]
    unknown = sorted(set(named) - set(NAMES))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    return max(
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options]).returncode
        for name in named or NAMES
    )


if __name__ == "__main__":
    sys.exit(main())
