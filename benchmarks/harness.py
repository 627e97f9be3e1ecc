"""What every benchmark shares: options, the line about machine and commit, goals, JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One figure against its goal.

    Attributes:
        name: what was measured, with its unit.
        goal: the bound in words.
        measured: the figure.
        met: whether it holds.
    """

    name: str
    goal: str
    measured: float
    met: bool


def at_most(name: str, bound: float, measured: float) -> Goal:
    """A goal that an upper bound states."""
    return Goal(name=name, goal=f"<= {bound:g}", measured=round(measured, 4), met=measured <= bound)


def at_least(name: str, bound: float, measured: float) -> Goal:
    """A goal that a lower bound states."""
    return Goal(name=name, goal=f">= {bound:g}", measured=round(measured, 4), met=measured >= bound)


def machine() -> dict[str, Any]:
    """The machine and the commit a figure belongs to."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "commit": commit or "unknown",
    }


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="under a minute, coarser figures")
    parser.add_argument("--json", type=Path, help="write the result here")
    return parser


def finish(title: str, rows: list[dict[str, Any]], goals: list[Goal], path: Path | None) -> int:
    """Print the table and the goals, write the JSON file; 0 when every goal is met."""
    console, host = Console(), machine()
    console.print(
        f"[bold]{title}[/]  {host['cpu']}, {host['cores']} cores, load {host['load']}, "
        f"Python {host['python']}, commit {host['commit']}",
        highlight=False,
    )
    if rows:
        table = Table(box=None, header_style="dim", pad_edge=False)
        for key in rows[0]:
            table.add_column(
                escape(key), justify="left" if isinstance(rows[0][key], str) else "right"
            )
        for row in rows:
            table.add_row(
                *(f"{v:.3f}" if isinstance(v, float) else escape(str(v)) for v in row.values())
            )
        # A line too long for the terminal is broken by it; a figure must not be cut.
        console.width = max(console.width, table.__rich_measure__(console, console.options).maximum)
        console.print(table)
    for goal in goals:
        mark = "[green]✓[/]" if goal.met else "[red]✗[/]"
        console.print(
            f"{mark} {escape(goal.name)}: {goal.measured:g} (goal {goal.goal})", highlight=False
        )
    if path is not None:
        result = {
            "title": title,
            "machine": host,
            "rows": rows,
            "goals": [asdict(g) for g in goals],
        }
        path.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if all(goal.met for goal in goals) else 1
