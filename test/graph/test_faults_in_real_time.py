"""What may go wrong around a moving arm: nodes that die, plans that must not be obeyed.

In real time: a lockstep graph stands still when a node of it dies. The robot file of these tests
tolerates longer silences, because test machines are slower than robots.
"""

from __future__ import annotations

import array
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
from running_graph import RunningGraph, running_graph
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Outcome
from vla_ros_msgs.srv import ResetScene

from vla_ros.robot.load import robot_path
from vla_ros.ros import qos

pytestmark = [pytest.mark.graph, pytest.mark.timeout(240)]
# Each test has its own cube, and those that judge come first: later ones may drop a cube anywhere.
GREEN = "put the green cube in the yellow bin"
RED = "put the red cube in the blue bin"
BLUE = "put the blue cube in the yellow bin"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGraph]:
    """One graph for the tests of this file; each leaves it at rest and ready."""
    text = robot_path("sim_arm").read_text()
    strict = "joint_state_max_age_s: 0.25, plan_max_age_s: 1.0"
    assert strict in text
    text = text.replace(strict, "joint_state_max_age_s: 3.0, plan_max_age_s: 6.0")
    robot = tmp_path_factory.mktemp("robot") / "patient_arm.yaml"
    robot.write_text(text)
    with running_graph(lockstep="false", seed="3", robot=str(robot)) as graph:
        yield graph


def resume(graph: RunningGraph) -> None:
    graph.wait(
        lambda: (
            graph.call(Trigger, "control_bridge/resume", Trigger.Request()).success
            or not graph.status.reset_required
        ),
        "resume",
    )
    graph.wait(lambda: not graph.status.reset_required, "the stop to be over")


def chunk_like(last: Commanded, graph: RunningGraph, actions: np.ndarray) -> ActionChunk:
    """A chunk of the current run and epoch, due from now on."""
    now = graph.node.get_clock().now()
    message = ActionChunk(
        run_id=last.run_id,
        epoch=graph.status.epoch,
        seq=1_000_000,
        spec_hash=last.spec_hash,
        start=now.to_msg(),
        valid_from=now.to_msg(),
        horizon=len(actions),
        dim=actions.shape[1],
        actions=array.array("f", actions.astype(np.float32).reshape(-1).tobytes()),
    )
    message.header.stamp = now.to_msg()
    message.dt.nanosec = 50_000_000
    return message


def test_a_killed_policy_ends_the_goal_with_a_reason_and_the_arm_brakes_by_itself(
    graph: RunningGraph,
) -> None:
    goal = graph.task(RED)
    goal.wait(graph.moving, "the arm to move")
    graph.kill("policy")
    graph.wait(graph.resting, "the arm to rest")
    result = goal.result()
    assert result.outcome == Outcome.STOPPED
    assert "policy" in result.message
    graph.wait(lambda: graph.status.reset_required, "the bridge's stop")
    assert graph.status.stop_reason == BridgeStatus.PLAN_LOST
    at_rest = len(graph.commanded)
    graph.start_again("policy")
    resume(graph)
    graph.wait(lambda: len(graph.commanded) > at_rest + 100, "a second")
    assert graph.moved_rad(at_rest) < 0.02
    goal = graph.run(RED)
    goal.wait(graph.moving, "the arm to move again")
    goal.cancel()
    assert goal.result().outcome == Outcome.CANCELED
    graph.wait(graph.resting, "the arm to rest")


def test_a_killed_bridge_ends_the_goal_and_nothing_from_before_moves_the_robot_again(
    graph: RunningGraph,
) -> None:
    goal = graph.task(BLUE)
    goal.wait(graph.moving, "the arm to move")
    epoch = graph.status.epoch
    graph.kill("control_bridge")
    result = goal.result()
    assert result.outcome == Outcome.STOPPED
    assert "control_bridge" in result.message
    since = len(graph.commanded)
    graph.start_again("control_bridge")
    graph.wait(lambda: graph.status.epoch != epoch, "another epoch")
    graph.wait(lambda: len(graph.commanded) > since + 100, "a second of commands")
    assert graph.moved_rad(since) < 0.02
    assert not any(any(m.run_id.uuid) for m in graph.commanded[since:])
    goal = graph.run(BLUE)
    goal.wait(graph.moving, "the arm to move again")
    goal.cancel()
    assert goal.result().outcome == Outcome.CANCELED
    graph.wait(graph.resting, "the arm to rest")


@pytest.mark.parametrize(
    ("value", "words"), [(float("nan"), "finite"), (1e6, "first move"), (None, "values in each")]
)
def test_a_chunk_that_must_not_move_the_robot_is_refused_whole_and_the_run_goes_on(
    graph: RunningGraph, value: float | None, words: str
) -> None:
    goal = graph.run(GREEN)
    goal.wait(lambda: graph.commanded[-1].mode == Commanded.TRACKING, "a plan in force")
    last = graph.commanded[-1]
    actions = np.tile(np.asarray(last.action), (16, 1))
    if value is None:
        actions = actions[:, :-1]
    else:
        actions[3:, 2] = value
        actions[:, 2] = value if value == 1e6 else actions[:, 2]
    publisher = graph.node.create_publisher(ActionChunk, "action_chunk", qos.profile("chunk"))
    graph.wait(lambda: publisher.get_subscription_count() > 0, "the bridge to be matched")
    refused, since = graph.status.chunks_refused, len(graph.commanded)
    publisher.publish(chunk_like(last, graph, actions))
    graph.wait(lambda: graph.status.chunks_refused > refused, "the refusal")
    assert words in graph.status.last_refusal
    assert graph.moved_rad(since) < 1.0
    graph.node.destroy_publisher(publisher)
    goal.cancel()
    assert goal.result().outcome == Outcome.CANCELED
    graph.wait(graph.resting, "the arm to rest")


def test_ctrl_c_in_motion_ends_the_goal_with_a_reason_and_the_arm_brakes_by_itself(
    graph: RunningGraph,
) -> None:
    speeds: list[float] = []
    graph.node.create_subscription(
        JointState, "/joint_states", lambda m: speeds.append(max(map(abs, m.velocity))), 50
    )
    # On a slow computer a test before this one may have brought the cube where it belongs.
    assert graph.call(ResetScene, "sim_robot/reset", ResetScene.Request(seed=3)).success
    goal = graph.task(GREEN)
    goal.wait(graph.moving, "the arm to move")
    for label in ("policy", "control_bridge", "observation_sync", "task_planner"):
        os.kill(graph.pid(label), signal.SIGINT)
    result = goal.result()
    assert result.outcome == Outcome.STOPPED
    assert "shutting down" in result.message
    graph.wait(lambda: graph.status.reset_required, "the bridge's last words")
    assert graph.status.stop_reason == BridgeStatus.DEACTIVATED
    graph.wait(lambda: len(speeds) > 100 and max(speeds[-100:]) < 0.02, "a second of rest")
