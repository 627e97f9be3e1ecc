"""What a role's profile keeps, between a writer and a reader that is busy elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from vla_ros_msgs.msg import Run

from vla_ros.ros import qos
from vla_ros.ros.domain import isolated_domain

LIMIT_S = 20.0


@pytest.fixture
def node() -> Iterator[Node]:
    with isolated_domain() as variables:
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=int(variables["ROS_DOMAIN_ID"]))
        made = Node("busy", context=context)
        yield made
        made.destroy_node()
        rclpy.shutdown(context=context)


def spin_until(node: Node, done: Callable[[], bool], what: str) -> None:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    end = time.monotonic() + LIMIT_S
    while not done():
        assert time.monotonic() < end, f"waited {LIMIT_S} s for {what}"
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_run_that_ends_and_the_next_that_starts_are_both_heard(
    node: Node, lockstep: bool
) -> None:
    heard: list[int] = []
    profile = qos.profile("run", lockstep=lockstep)
    writer = node.create_publisher(Run, "run", profile)
    node.create_subscription(Run, "run", lambda m: heard.append(m.state), profile)
    spin_until(node, lambda: writer.get_subscription_count() == 1, "the reader")
    states = [Run.STARTED, Run.ENDED, Run.STARTED, Run.ENDED, Run.STARTED]
    for state in states:  # nobody reads meanwhile
        writer.publish(Run(state=state))
    spin_until(node, lambda: len(heard) == len(states), "every message")
    assert heard == states


def test_somebody_who_joins_late_hears_of_the_current_run_last(node: Node) -> None:
    writer = node.create_publisher(Run, "run", qos.profile("run"))
    for state in (Run.STARTED, Run.ENDED, Run.STARTED):
        writer.publish(Run(state=state))
    heard: list[int] = []
    node.create_subscription(Run, "run", lambda m: heard.append(m.state), qos.profile("run"))
    spin_until(node, lambda: len(heard) == 3, "the runs")
    assert heard[-1] == Run.STARTED
