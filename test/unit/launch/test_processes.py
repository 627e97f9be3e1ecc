"""Processes start together, end together, and leave nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vla_ros.cli.processes import Command, ProcessGraph

LIMIT_S = 20.0


def python(label: str, code: str, *, required: bool = False) -> Command:
    # -S -E: no site-packages, so that an interpreter starts in 20 ms
    argv = (sys.executable, "-S", "-E", "-u", "-c", textwrap.dedent(code))
    return Command(label=label, argv=argv, environment={}, required=required)


SLEEPER = "import time; print('up'); time.sleep(60)"
STUBBORN = """
    import signal, time
    signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('up'); time.sleep(60)
"""


class Lines(list[tuple[str, str]]):
    """Collected output that can be waited for."""

    def __call__(self, label: str, line: str) -> None:
        self.append((label, line))

    def wait(self, label: str, text: str) -> None:
        wait_until(lambda: any(a == label and text in b for a, b in self), f"{text!r} of {label}")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {LIMIT_S} s for {what}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_output_arrives_line_by_line_with_its_label_and_the_last_line_needs_no_newline() -> None:
    lines = Lines()
    code = "import sys; print('one'); sys.stderr.write('two')"
    with ProcessGraph([python("a", code), python("b", "print('three')")], lines) as graph:
        assert graph.wait(LIMIT_S)
    assert {("a", "one"), ("a", "two"), ("b", "three")} <= set(lines)
    assert graph.status == 0


def test_stop_interrupts_every_process_and_counts_as_a_good_end() -> None:
    lines = Lines()
    with ProcessGraph([python("a", SLEEPER), python("b", SLEEPER)], lines) as graph:
        lines.wait("a", "up")
        lines.wait("b", "up")
        graph.stop(LIMIT_S)
    assert graph.status == 0
    assert set(graph.exit_codes) == {"a", "b"}


def test_a_required_process_that_ends_takes_the_others_with_it() -> None:
    lines = Lines()
    nodes = [python("main", "raise SystemExit(3)", required=True), python("b", SLEEPER)]
    with ProcessGraph(nodes, lines) as graph:
        assert graph.wait(LIMIT_S)
    assert graph.status == 1
    assert graph.exit_codes["main"] == 3
    assert ("launch", "main is required: stopping the others") in lines


def test_an_optional_process_that_fails_is_reported_and_the_others_go_on() -> None:
    lines = Lines()
    with ProcessGraph([python("a", "raise SystemExit(4)"), python("b", SLEEPER)], lines) as graph:
        lines.wait("launch", "a ended with exit status 4")
        assert alive(graph.pid("b"))
        graph.stop(LIMIT_S)
    assert graph.status == 1


def test_a_process_that_ignores_signals_is_killed_when_time_is_up() -> None:
    lines = Lines()
    graph = ProcessGraph([python("a", STUBBORN)], lines, interrupt_s=0.2, terminate_s=0.2)
    with graph:
        lines.wait("a", "up")
        graph.stop(LIMIT_S)
    assert graph.exit_codes == {"a": -signal.SIGKILL}
    assert graph.status == 1
    assert any("SIGTERM" in line for _, line in lines)


def test_children_of_a_process_end_with_it() -> None:
    lines = Lines()
    code = """
        import subprocess
        p = subprocess.Popen(["sleep", "60"])
        print("pid", p.pid)
        p.wait()
    """
    with ProcessGraph([python("a", code)], lines) as graph:
        lines.wait("a", "pid")
        grandchild = int(lines[0][1].split()[1])
        assert alive(grandchild)
        graph.stop(LIMIT_S)
    wait_until(lambda: not alive(grandchild), "the grandchild to end")


def test_a_program_that_does_not_exist_stops_what_was_started_already() -> None:
    missing = Command(label="b", argv=("/no/such/program",), environment={}, required=False)
    graph = ProcessGraph([python("a", SLEEPER), missing], Lines())
    with pytest.raises(FileNotFoundError):
        graph.start()
    assert not alive(graph.pid("a"))


CHILD = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
RUNNER = """
import sys
from vla_ros.cli.processes import Command, ProcessGraph
argv = (sys.executable, "-S", "-c", sys.argv[1])
command = Command(label="a", argv=argv, environment={}, required=False)
with ProcessGraph([command], lambda label, line: print(line, flush=True)) as graph:
    graph.wait()
"""


def test_when_the_runner_itself_is_killed_nothing_stays_behind() -> None:
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, CHILD], stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    pid = int(runner.stdout.readline())
    assert alive(pid)
    runner.kill()
    runner.wait(LIMIT_S)
    runner.stdout.close()
    wait_until(lambda: not alive(pid), "the child of a killed runner to end")
