"""A benchmark runs too long for a test, but a name that moved must not break it unnoticed."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "benchmarks").rglob("*.py")
    if path.stem != "__main__"
)


@pytest.mark.parametrize("module", MODULES)
def test_every_benchmark_can_be_imported(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    assert import_module(module).__doc__


def test_what_follows_the_names_goes_to_the_benchmark_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    ran: list[list[str]] = []

    def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
        ran.append(argv[2:])
        return subprocess.CompletedProcess(argv, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "sync", "soak", "--json", "out.json"])
    assert import_module("benchmarks.__main__").main() == 0
    assert ran == [[f"benchmarks.{name}", "--json", "out.json"] for name in ("sync", "soak")]
