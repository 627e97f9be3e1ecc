"""Goals through the whole graph in lockstep with the expert: obeyed, refused, cancelled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builtin_interfaces.msg import Duration
from running_graph import Goal, RunningGraph, running_graph
from std_srvs.srv import SetBool, Trigger
from vla_ros_msgs.action import ExecuteTask, GoTo
from vla_ros_msgs.msg import BridgeStatus, Commanded, Outcome, Run

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]
RED = "put the red cube in the blue bin"
BLUE = "put the blue cube in the yellow bin"
GREEN = "put the green cube in the yellow bin"


@pytest.fixture(scope="module")
def graph() -> Iterator[RunningGraph]:
    """One graph for the tests of this file; each leaves it at rest and ready."""
    with running_graph(lockstep="true", seed="3") as graph:
        yield graph


def rest(graph: RunningGraph) -> None:
    graph.wait(graph.resting, "the arm to rest")


def test_a_goal_in_words_is_obeyed_and_the_simulator_says_so(graph: RunningGraph) -> None:
    goal = graph.task(RED)
    result = goal.result()
    assert (result.outcome, result.message) == (Outcome.SUCCEEDED, "")
    (subtask,) = result.subtasks
    assert (subtask.outcome, subtask.judge, subtask.attempts) == (
        Outcome.SUCCEEDED, "simulator", 1,
    )  # fmt: skip
    assert any(f.phase == ExecuteTask.Feedback.EXECUTING for f in goal.feedback)
    graph.wait(lambda: graph.runs[-1].state == Run.ENDED, "the end of the run")
    rest(graph)


@pytest.mark.parametrize(
    ("instruction", "words"),
    [("put the purple cube in the blue bin", ["purple"]), ("", ["empty"]), ("x " * 500, ["words"])],
)
def test_what_is_not_understood_is_refused_in_words_and_nothing_moves(
    graph: RunningGraph, instruction: str, words: list[str]
) -> None:
    since, runs = len(graph.commanded), len(graph.runs)
    result = graph.task(instruction).result()
    assert result.outcome == Outcome.REFUSED
    assert all(word in result.message for word in words), result.message
    graph.wait(lambda: len(graph.commanded) > since + 50, "half a second")
    assert graph.moved_rad(since) < 1e-6
    assert len(graph.runs) == runs


def test_a_second_task_is_refused_while_the_first_goes_on_and_cancel_brakes(
    graph: RunningGraph,
) -> None:
    first = graph.task(BLUE)
    first.wait(graph.moving, "the arm to move")
    second = graph.task(RED).result()
    assert second.outcome == Outcome.REFUSED
    assert BLUE in second.message
    run = graph.run("put the red cube in the blue bin").result()
    assert run.outcome == Outcome.REFUSED
    assert "continue_motion" in run.message
    assert not first.done
    first.cancel()
    assert first.result().outcome == Outcome.CANCELED
    rest(graph)
    assert graph.status is not None
    assert not graph.status.reset_required


def test_a_run_that_continues_the_motion_takes_over_without_a_stop(graph: RunningGraph) -> None:
    first = graph.run(BLUE)
    first.wait(graph.moving, "the arm to move")
    since = len(graph.commanded)
    second = graph.run("put the green cube in the yellow bin", continue_motion=True)
    result = first.result()
    assert result.outcome == Outcome.CANCELED
    assert "taken over" in result.message
    graph.wait(
        lambda: bytes(graph.commanded[-1].run_id.uuid) == second.id, "the new run to be executed"
    )
    modes = {m.mode for m in graph.commanded[since:]}
    assert modes <= {Commanded.TRACKING, Commanded.RAMPING}
    assert len({m.epoch for m in graph.commanded[since:]}) == 1
    second.cancel()
    assert second.result().outcome == Outcome.CANCELED
    rest(graph)


def test_a_time_limit_in_ros_time_ends_a_run(graph: RunningGraph) -> None:
    result = graph.run(BLUE, time_limit=Duration(sec=1)).result()
    assert result.outcome == Outcome.TIMED_OUT
    assert 1_000_000_000 <= result.duration.sec * 10**9 + result.duration.nanosec < 1_300_000_000
    assert result.chunks > 0
    rest(graph)


def test_stop_ends_the_goal_and_only_resume_lets_the_robot_move_again(graph: RunningGraph) -> None:
    goal = graph.task(GREEN)
    goal.wait(graph.moving, "the arm to move")
    assert graph.call(Trigger, "control_bridge/stop", Trigger.Request()).success
    result = goal.result()
    assert result.outcome == Outcome.STOPPED
    assert "resume" in result.message
    rest(graph)
    status = graph.status
    assert status is not None
    graph.wait(lambda: graph.status.state == Commanded.STOPPED, "the state STOPPED")
    assert (graph.status.stop_reason, graph.status.reset_required) == (BridgeStatus.OPERATOR, True)
    since = len(graph.commanded)
    refused = graph.task(GREEN).result()  # not done yet, so it cannot succeed without moving
    assert refused.outcome == Outcome.REFUSED
    assert "stopped" in refused.message
    assert graph.moved_rad(since) < 1e-6
    graph.wait(
        lambda: graph.call(Trigger, "control_bridge/resume", Trigger.Request()).success, "resume"
    )
    graph.wait(lambda: not graph.status.reset_required, "the stop to be over")
    assert graph.status.epoch != status.epoch


def test_a_named_pose_is_reached_and_an_unknown_one_refused_with_the_known(
    graph: RunningGraph,
) -> None:
    unknown = Goal(graph, graph.go_to_client, GoTo.Goal(pose="hom")).result()
    assert unknown.outcome == Outcome.REFUSED
    assert "home" in unknown.message
    home = Goal(graph, graph.go_to_client, GoTo.Goal(pose="home")).result()
    assert home.outcome == Outcome.SUCCEEDED
    rest(graph)


def test_a_disabled_robot_refuses_and_an_enabled_one_obeys(graph: RunningGraph) -> None:
    assert graph.call(SetBool, "control_bridge/enable", SetBool.Request(data=False)).success
    refused = graph.run(RED).result()
    assert refused.outcome == Outcome.REFUSED
    assert "enable" in refused.message
    graph.wait(
        lambda: graph.call(SetBool, "control_bridge/enable", SetBool.Request(data=True)).success,
        "enable",
    )
    result = graph.task("put the green cube in the yellow bin").result()
    assert result.outcome == Outcome.SUCCEEDED, result.message
