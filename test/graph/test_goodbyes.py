"""A node that is told to stop ends the goals it has, with a reason, before it goes."""

from __future__ import annotations

from typing import Any

import pytest
from action_msgs.msg import GoalStatus, GoalStatusArray
from rclpy.action import ActionClient
from stage import Stage, stage
from vla_ros_msgs.action import ExecuteTask, RunPolicy
from vla_ros_msgs.msg import BridgeStatus, Outcome

from vla_ros.robot.files import shared_folder
from vla_ros.ros import qos

pytestmark = [pytest.mark.graph, pytest.mark.timeout(120)]
TASKS = shared_folder() / "config" / "tasks" / "tabletop.yaml"
PROMPT = "put the red cube in the blue bin"


def result_after_sigint(made: Stage, name: str, client: ActionClient, goal: Any) -> Any:
    """Give a node a goal that cannot end by itself soon, and tell the node to stop."""
    made.wait(client.server_is_ready, f"the action server of {name}")
    feedback: list[Any] = []
    sent = client.send_goal_async(goal, feedback.append)
    made.wait(sent.done, "the goal to be taken")
    result = sent.result().get_result_async()
    made.wait(lambda: bool(feedback), "a sign of life")
    assert not result.done(), result.result()
    assert made.stop(name) == 0, made.printed(name)
    made.wait(result.done, "the result", 10.0)
    client.destroy()
    return result.result().result


def test_a_task_ends_with_a_reason_when_the_planner_is_told_to_stop() -> None:
    with stage() as made:
        made.start("task_planner", tasks=TASKS, policy_timeout_s=60.0)
        client = ActionClient(made.node, ExecuteTask, "execute_task")
        goal = ExecuteTask.Goal(instruction=PROMPT)
        result = result_after_sigint(made, "task_planner", client, goal)
    assert result.outcome == Outcome.STOPPED
    assert result.message == "task_planner is shutting down"


def test_a_run_ends_with_a_reason_when_the_policy_is_told_to_stop() -> None:
    with stage() as made:
        made.start("policy", policy="expert", robot="sim_arm")
        made.wait(lambda: made.says("policy", "expert expert"), "the policy to load")
        client = ActionClient(made.node, RunPolicy, "run_policy")
        result = result_after_sigint(made, "policy", client, RunPolicy.Goal(prompt=PROMPT))
    assert result.outcome == Outcome.STOPPED
    assert result.message == "policy is shutting down"


def test_a_run_whose_client_is_gone_ends() -> None:
    with stage() as made:
        made.start("policy", policy="expert", robot="sim_arm")
        made.wait(lambda: made.says("policy", "expert expert"), "the policy to load")
        bridge = made.node.create_publisher(BridgeStatus, "bridge_status", qos.profile("latched"))
        beat = BridgeStatus(enabled=True, epoch=1)
        made.node.create_timer(0.1, lambda: bridge.publish(beat))  # waits for observations only
        states: list[int] = []
        made.node.create_subscription(
            GoalStatusArray,
            "run_policy/_action/status",
            lambda message: states.extend(goal.status for goal in message.status_list),
            qos.profile("latched"),
        )
        client = ActionClient(made.node, RunPolicy, "run_policy")
        made.wait(client.server_is_ready, "the action server of policy")
        sent = client.send_goal_async(RunPolicy.Goal(prompt=PROMPT))
        made.wait(sent.done, "the goal to be taken")
        made.wait(lambda: GoalStatus.STATUS_EXECUTING in states, "the goal to be executed")
        client.destroy()
        made.wait(lambda: GoalStatus.STATUS_ABORTED in states, "the goal's end", 15.0)
