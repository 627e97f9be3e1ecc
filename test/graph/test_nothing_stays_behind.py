"""However a command ends that started a graph, no process of the graph is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.graph, pytest.mark.timeout(200)]
GRAPH = {"sim_robot", "observation_sync", "policy", "control_bridge", "task_planner"}
UP_S = 60.0
GONE_S = {signal.SIGKILL: 10.0, signal.SIGINT: 40.0, signal.SIGTERM: 40.0}


def processes() -> dict[int, tuple[int, str]]:
    """Process id -> parent and command line, of what runs and is no zombie."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has just ended
            continue
        if state != "Z":
            found[int(folder.name)] = (int(parent), command)
    return found


def descendants(of: int) -> dict[int, str]:
    running, family = processes(), {of}
    while True:
        more = {pid for pid, (parent, _) in running.items() if parent in family} - family
        if not more:
            return {pid: running[pid][1] for pid in family - {of}}
        family |= more


def nodes(of: int) -> set[str]:
    commands = descendants(of).values()
    return {name for name in GRAPH if any(f"/lib/vla_ros/{name} " in line for line in commands)}


def wait(condition: object, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def hear_interrupts() -> None:
    """As in a terminal: the tests may run where SIGINT is ignored, as a shell's background job."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def evaluation() -> Iterator[subprocess.Popen[bytes]]:
    """`vla eval`, its graph started."""
    verb = ("-m", "vla_ros.cli.main", "eval", "--episodes", "9")
    process = subprocess.Popen(
        [sys.executable, *verb], stdout=subprocess.DEVNULL, preexec_fn=hear_interrupts
    )
    try:
        wait(lambda: nodes(process.pid) == GRAPH, UP_S, "every node's process")
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_takes_its_whole_graph_with_it(number: signal.Signals) -> None:
    with evaluation() as process:
        family = descendants(process.pid)
        os.kill(process.pid, number)
        wait(lambda: not family.keys() & processes().keys(), GONE_S[number], "the graph to be gone")
