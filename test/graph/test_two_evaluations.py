"""Two graphs on one computer: neither sees, disturbs or speaks into the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.graph, pytest.mark.timeout(400)]


def test_two_evaluations_at_once_each_do_their_own_tasks(tmp_path: Path) -> None:
    tasks = {"single": 1, "listen": 2}
    processes = {
        task: subprocess.Popen(
            [
                *(sys.executable, "-m", "vla_ros.cli.main", "eval", "--episodes", "1"),
                *("--seed", "900000", "--task", task, "--json", str(tmp_path / f"{task}.json")),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for task in tasks
    }
    for task, process in processes.items():
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        found = json.loads((tmp_path / f"{task}.json").read_text())
        assert found["episodes"] == found["successes"] == tasks[task], found
        # A second simulator in the domain would have ended lockstep, and given other prompts.
        assert found["task"] == task
