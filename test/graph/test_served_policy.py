"""A policy behind `vla serve` drives the graph; a server that dies ends the run, not the robot."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_graph import RunningGraph, running_graph
from vla_ros_msgs.msg import Outcome

from vla_ros.robot.files import shared_folder

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "serve"))

from serving import serving

pytestmark = [pytest.mark.graph, pytest.mark.timeout(240)]

NANO = str(shared_folder() / "checkpoints" / "nano")
INSTRUCTION = "put the green cube in the yellow bin"


@pytest.fixture(scope="module")
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def graph(port: int) -> Iterator[RunningGraph]:
    """A graph whose server is there when it starts, and gone when the block is entered."""
    with serving("--policy", NANO, "--threads", "1", port=port) as address:
        graph = running_graph(lockstep="true", seed="5", policy=address)
        running = graph.__enter__()
    try:
        yield running
    finally:
        graph.__exit__(None, None, None)


def test_a_goal_without_the_server_fails_with_its_address_and_the_arm_stays(
    graph: RunningGraph, port: int
) -> None:
    since = len(graph.commanded)
    result = graph.task(INSTRUCTION).result()
    assert result.outcome == Outcome.FAILED
    assert str(port) in result.message
    assert graph.moved_rad(since) == 0.0


def test_the_next_goal_after_the_server_is_back_succeeds(graph: RunningGraph, port: int) -> None:
    with serving("--policy", NANO, "--threads", "1", port=port):
        result = graph.task(INSTRUCTION).result(timeout_s=150.0)
    assert result.outcome == Outcome.SUCCEEDED, result.message


def test_a_server_lost_in_mid_motion_ends_the_run_and_the_arm_comes_to_rest(
    graph: RunningGraph, port: int
) -> None:
    with serving("--policy", NANO, "--threads", "1", port=port):
        goal = graph.task("put the red cube in the blue bin")
        goal.wait(graph.moving, "the arm to move")
    result = goal.result()
    assert result.outcome == Outcome.FAILED
    assert str(port) in result.message
    graph.wait(graph.resting, "the arm to come to rest")
