"""The checkpoint in the repository does its job through the whole graph."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from running_graph import RunningGraph, running_graph
from vla_ros_msgs.msg import Outcome

from vla_ros.robot.files import shared_folder

pytestmark = [pytest.mark.graph, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def graph() -> Iterator[RunningGraph]:
    """One graph for the tests of this file."""
    checkpoint = shared_folder() / "checkpoints" / "nano"
    with running_graph(lockstep="true", seed="5", policy=str(checkpoint)) as graph:
        yield graph


@pytest.mark.parametrize(
    "instruction",
    [
        "put the green cube in the yellow bin",
        "place the blue block into the yellow tray, please",
        "clear the table",
    ],
)
def test_nano_sees_reads_and_obeys(graph: RunningGraph, instruction: str) -> None:
    result = graph.task(instruction).result(timeout_s=150.0)
    assert result.outcome == Outcome.SUCCEEDED, result.message
    assert {s.judge for s in result.subtasks} == {"simulator"}
