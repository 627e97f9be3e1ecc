"""The lifecycle base and the executor: in one process, without other nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("vla_ros_msgs.msg", reason="the interfaces are not built or not sourced")

from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from vla_ros.errors import VlaError  # noqa: E402
from vla_ros.ros.domain import isolated_domain  # noqa: E402
from vla_ros.ros.executor import LeanExecutor  # noqa: E402
from vla_ros.ros.lifecycle import VlaNode  # noqa: E402
from vla_ros.ros.parameters import (  # noqa: E402
    NodeParameters,
    ParameterError,
    declare,
    parameter,
)

SUCCESS = TransitionCallbackReturn.SUCCESS


@dataclass(frozen=True, kw_only=True)
class Parameters(NodeParameters):
    rate_hz: float = parameter(10.0, "rate", unit="Hz", minimum=1.0, maximum=100.0)
    count: int = parameter(3, "how many", minimum=1)
    mode: str = parameter("slow", "pace", choices=("slow", "fast"))
    names: tuple[str, ...] = parameter((), "names")

    def __post_init__(self) -> None:
        if self.mode == "fast" and self.rate_hz < 20:
            raise ValueError(f"mode=fast, rate_hz={self.rate_hz}: fast needs at least 20 Hz")


class Probe(VlaNode[Parameters]):
    """Echoes, counts, and fails on demand."""

    def __init__(self) -> None:
        super().__init__("probe", Parameters)
        self.heard: list[str] = []
        self.ticks = 0
        self.fails_at = ""

    def configure(self) -> None:
        self.talk = self.publisher(String, "words", "observation")
        self.subscription(String, "words", lambda m: self.heard.append(m.data), "observation")
        self.service(Trigger, "~/ask", self._answer)
        if self.fails_at == "configure":
            raise VlaError("the disk is full; delete something")

    def activate(self) -> None:
        self.every_steady(0.01, self._tick)
        if self.fails_at == "activate":
            raise VlaError("the arm is unplugged; plug it in")

    def _tick(self) -> None:
        self.ticks += 1

    async def _answer(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = True, "yes"
        return response


@pytest.fixture(scope="module", autouse=True)
def ros() -> Iterator[None]:
    """One context in a domain of its own."""
    with isolated_domain() as variables:
        before = dict(os.environ)
        os.environ.update(variables)
        rclpy.init(args=[])
        yield
        rclpy.try_shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def probe() -> Iterator[Probe]:
    node = Probe()
    yield node
    node.release_everything()
    node.destroy_node()


@pytest.fixture
def executor(probe: Probe) -> Iterator[LeanExecutor]:
    made = LeanExecutor()
    made.add_node(probe)
    yield made
    made.shutdown()


def spin(executor: LeanExecutor, condition, turns: int = 500) -> None:
    for _ in range(turns):
        if condition():
            return
        executor.spin_once(timeout_sec=0.02)
    raise AssertionError("not within the turns")


def entities(node: VlaNode) -> tuple[int, int, int]:
    return (
        len(list(node.publishers)),
        len(list(node.subscriptions)),
        len(list(node.timers)),
    )


def test_what_a_state_makes_is_destroyed_when_the_state_ends(probe):
    unconfigured = entities(probe)
    assert probe.trigger_configure() == SUCCESS
    inactive = entities(probe)
    assert probe.trigger_activate() == SUCCESS
    assert entities(probe) != inactive
    assert probe.trigger_deactivate() == SUCCESS
    assert entities(probe) == inactive
    assert probe.trigger_cleanup() == SUCCESS
    assert entities(probe) == unconfigured
    assert probe.trigger_configure() == SUCCESS
    assert probe.trigger_activate() == SUCCESS
    probe.trigger_shutdown()
    assert entities(probe) == unconfigured


@pytest.mark.parametrize("state", ["configure", "activate"])
def test_a_failed_transition_says_why_frees_everything_and_can_be_tried_again(probe, state):
    before = entities(probe)
    probe.fails_at = state
    if state == "activate":
        assert probe.trigger_configure() == SUCCESS
        before = entities(probe)
    failed = getattr(probe, f"trigger_{state}")()
    assert failed == TransitionCallbackReturn.FAILURE
    assert "; " in probe.failure
    assert entities(probe) == before
    probe.fails_at = ""
    assert getattr(probe, f"trigger_{state}")() == SUCCESS
    assert not probe.failure


def test_the_executor_delivers_messages_timers_and_coroutine_services(probe, executor):
    probe.trigger_configure()
    probe.trigger_activate()
    client = probe.create_client(Trigger, "/vla/probe/ask")
    spin(executor, client.service_is_ready)
    spin(executor, lambda: probe.talk.get_subscription_count() == 1)
    answer = client.call_async(Trigger.Request())
    for index in range(5):
        probe.talk.publish(String(data=str(index)))
        spin(executor, lambda n=index: len(probe.heard) > n)
    spin(executor, answer.done)
    assert answer.result().message == "yes"
    assert probe.heard == ["0", "1", "2", "3", "4"]
    spin(executor, lambda: probe.ticks > 5)


def test_entities_made_and_destroyed_while_it_runs_are_seen(probe, executor):
    probe.trigger_configure()
    late: list[str] = []
    executor.spin_once(timeout_sec=0.0)
    made = probe.create_subscription(String, "late", lambda m: late.append(m.data), 1)
    talk = probe.create_publisher(String, "late", 1)
    spin(executor, lambda: talk.get_subscription_count() == 1)
    talk.publish(String(data="now"))
    spin(executor, lambda: late == ["now"])
    probe.destroy_subscription(made)
    talk.publish(String(data="gone"))
    for _ in range(3):
        executor.spin_once(timeout_sec=0.0)
    assert late == ["now"]


def test_an_error_in_a_callback_reaches_whoever_spins(probe, executor):
    def broken() -> None:
        raise VlaError("broken")

    probe.create_timer(0.001, broken)
    with pytest.raises(VlaError, match="broken"):
        spin(executor, lambda: False)


def test_a_task_that_awaits_another_is_finished(probe, executor):
    async def inner() -> int:
        return 4

    async def outer() -> int:
        return 1 + await executor.create_task(inner)

    task = executor.create_task(outer)
    spin(executor, task.done)
    assert task.result() == 5


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"rate_hz": 0.5}, r"rate_hz.*rate \[Hz\]; expected 1.0 .. 100.0"),
        ({"rate_hz": "quick"}, r"rate_hz.*rate \[Hz\]"),
        ({"mode": "medium"}, "mode' of limited is 'medium'; expected one of slow, fast"),
        ({"mode": "fast"}, "fast needs at least 20 Hz"),
        ({"rate_hz": float("nan")}, "rate_hz"),
    ],
)
def test_parameters_out_of_range_are_refused_in_words(overrides, words):
    given = [Parameter(name, value=value) for name, value in overrides.items()]
    node = rclpy.create_node("limited", parameter_overrides=given)
    try:
        with pytest.raises(ParameterError, match=words):
            declare(node, Parameters)
    finally:
        node.destroy_node()


def test_parameters_are_described_read_only_and_take_lists():
    node = rclpy.create_node(
        "described", parameter_overrides=[Parameter("names", value=["a", "b"])]
    )
    try:
        assert declare(node, Parameters).names == ("a", "b")
        described = node.describe_parameter("rate_hz")
        assert described.description == "rate [Hz]"
        assert described.read_only
        assert described.floating_point_range[0].to_value == 100.0
        assert not node.set_parameters([Parameter("count", value=5)])[0].successful
    finally:
        node.destroy_node()
