"""The client of the graph notices who is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("vla_ros_msgs.msg", reason="the interfaces are not built or not sourced")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from vla_ros.ros.domain import isolated_domain
from vla_ros.ros.task_client import GraphNotUpError, TaskClient


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskClient]:
    """Beside a policy that says something twenty times a second, and nobody else."""
    with isolated_domain() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with TaskClient() as client:
            publisher = client.node.create_publisher(DiagnosticArray, "/diagnostics", 10)
            said = DiagnosticArray(status=[DiagnosticStatus(name="vla_ros: policy")])
            client.node.create_timer(0.05, lambda: publisher.publish(said))
            yield client


def test_nodes_that_speak_are_alive_and_silent_ones_are_named(client: TaskClient) -> None:
    client.wait_for_signs_of_life(["policy"], 10.0)
    with pytest.raises(GraphNotUpError, match=r"life of control_bridge, sim_robot for 0\.5 s"):
        client.wait_for_signs_of_life(["sim_robot", "policy", "control_bridge"], 0.5)
