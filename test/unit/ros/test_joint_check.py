"""A driver whose joints have other names is found before anything depends on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.node import Node  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from vla_ros.robot.command.joints import JointsError  # noqa: E402
from vla_ros.robot.spec.state import JointSource, StateSpec  # noqa: E402
from vla_ros.ros.domain import isolated_domain  # noqa: E402
from vla_ros.ros.joint_check import check_joints  # noqa: E402

LONG_S = 20.0
LOSS = {"tolerance_s": 0.05, "on_loss": "skip"}
RIGHT = JointSource(kind="joints", name="right", topic="/right", joints=("b",), **LOSS)
STATE = StateSpec(topic="/left", joints=("l_a", "l_b"), prefix="l_", **LOSS)
BOTH = STATE.model_copy(update={"sources": (RIGHT,)})


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Node, Node]]:
    """One that looks and one with drivers."""
    with isolated_domain() as variables:
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=int(variables["ROS_DOMAIN_ID"]))
        made = Node("looker", context=context), Node("drivers", context=context)
        yield made
        for node in made:
            node.destroy_node()
        rclpy.shutdown(context=context)


@contextmanager
def driver(
    node: Node,
    topic: str,
    names: list[str],
    value: float = 0.1,
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
) -> Iterator[None]:
    """Publishes as long as it is there."""
    publisher = node.create_publisher(
        JointState, topic, QoSProfile(depth=5, reliability=reliability)
    )
    message, gone = JointState(name=names, position=[value] * len(names)), threading.Event()

    def publish() -> None:
        while not gone.wait(0.01):
            publisher.publish(message)

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    gone.set()
    thread.join()
    node.destroy_publisher(publisher)


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_a_missing_joint_is_refused_with_what_is_there(
    nodes: tuple[Node, Node], reliability: ReliabilityPolicy
) -> None:
    with (
        driver(nodes[1], "/left", ["wheel", "a"], reliability=reliability),
        pytest.raises(JointsError, match=r"joints are missing: b; .* got wheel, a; .*/left"),
    ):
        check_joints(nodes[0], STATE, LONG_S)


def test_a_joint_that_is_named_twice_is_refused(nodes: tuple[Node, Node]) -> None:
    with (
        driver(nodes[1], "/left", ["a", "b", "a"]),
        pytest.raises(JointsError, match="named more than once: a"),
    ):
        check_joints(nodes[0], STATE, LONG_S)


def test_every_topic_of_joint_states_is_looked_at(nodes: tuple[Node, Node]) -> None:
    with (
        driver(nodes[1], "/left", ["b", "a"]),
        driver(nodes[1], "/right", ["a"]),
        pytest.raises(JointsError, match=r"joints are missing: b; .*/right"),
    ):
        check_joints(nodes[0], BOTH, LONG_S)


def test_joints_that_are_there_pass_at_once_in_whatever_order(nodes: tuple[Node, Node]) -> None:
    began_s = time.monotonic()
    with driver(nodes[1], "/left", ["b", "x", "a"]), driver(nodes[1], "/right", ["b"]):
        check_joints(nodes[0], BOTH, LONG_S)
    assert time.monotonic() - began_s < LONG_S / 2


def test_a_value_that_may_heal_is_left_to_the_messages_that_follow(
    nodes: tuple[Node, Node],
) -> None:
    with driver(nodes[1], "/left", ["a", "b"], value=float("nan")):
        check_joints(nodes[0], STATE, LONG_S)


def test_a_driver_that_starts_meanwhile_is_looked_at(nodes: tuple[Node, Node]) -> None:
    refused: list[JointsError] = []

    def look() -> None:
        try:
            check_joints(nodes[0], STATE, LONG_S)
        except JointsError as error:
            refused.append(error)

    looking = threading.Thread(target=look)
    looking.start()
    looking.join(1.0)
    assert looking.is_alive()
    with driver(nodes[1], "/left", ["wheel"]):
        looking.join()
    assert refused


def test_a_silent_topic_leaves_time_for_the_others(nodes: tuple[Node, Node]) -> None:
    with driver(nodes[1], "/right", ["a"]), pytest.raises(JointsError, match="/right"):
        check_joints(nodes[0], BOTH, 2.0)


def test_a_driver_that_keeps_silent_is_waited_for_as_long_as_allowed(
    nodes: tuple[Node, Node],
) -> None:
    silent = nodes[1].create_publisher(JointState, "/left", 5)
    began_s = time.monotonic()
    check_joints(nodes[0], STATE, 1.0)
    assert 1.0 <= time.monotonic() - began_s < LONG_S / 2
    nodes[1].destroy_publisher(silent)


def test_with_no_time_nothing_is_looked_at(nodes: tuple[Node, Node]) -> None:
    with driver(nodes[1], "/left", ["wheel"]):
        check_joints(nodes[0], STATE, 0.0)
