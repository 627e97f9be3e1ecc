"""What `test/graph/conftest.py` promises: only a computer that was held up earns another try."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "graph" / "conftest.py"
MACHINE = """
class MachineWatch:
    worst_s, share, held_up = 1.25, 0.5, {held_up}
    def __enter__(self): return self
    def __exit__(self, *_): pass

def wait_for_calm(patience_s): pass
"""
TESTS = """
import pytest

MADE = []

@pytest.fixture(scope="module")
def made():
    MADE.append("fresh")
    return len(MADE)

def test_that_needs_three_tries(made):
    assert made == 3

def test_that_passes(made):
    assert made
"""


def run(folder: Path, *, held_up: bool) -> str:
    shutil.copy(HERE, folder)
    (folder / "machine.py").write_text(MACHINE.format(held_up=held_up))
    (folder / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    return done.stdout


@pytest.mark.slow
def test_a_failure_on_a_held_up_computer_is_run_again_with_new_fixtures_and_said(
    tmp_path: Path,
) -> None:
    said = run(tmp_path, held_up=True)
    assert "2 passed" in said, said
    again = "RUN AGAIN test_it.py::test_that_needs_three_tries: failed while the computer was held"
    assert said.count(again) == 2
    assert "1.25 s at once, 50% of the time" in said


@pytest.mark.slow
def test_a_failure_on_a_computer_that_kept_its_time_is_one_at_once(tmp_path: Path) -> None:
    said = run(tmp_path, held_up=False)
    assert "1 failed, 1 passed" in said, said
    assert "RUN AGAIN" not in said
