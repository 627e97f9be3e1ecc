"""A trial that failed counts only while every node of the graph is alive."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("vla_ros_msgs.msg", reason="the interfaces are not built or not sourced")

from vla_ros.cli.eval_graph import _Graph
from vla_ros.cli.nodes import DEMO_NODES
from vla_ros.ros.task_client import GraphNotUpError


class Client:
    """Of a graph in which some nodes are dead."""

    node = SimpleNamespace(create_subscription=lambda *_: None)

    def __init__(self, *dead: str) -> None:
        self.dead = dead

    def wait_for_signs_of_life(self, nodes: Collection[str], timeout_s: float) -> None:
        if set(self.dead) & set(nodes):
            raise GraphNotUpError("dead")


@pytest.mark.parametrize("dead", DEMO_NODES)
def test_a_failure_beside_a_dead_node_is_not_counted(dead: str) -> None:
    with pytest.raises(GraphNotUpError):
        _Graph(Client(dead)).counted({"success": False})  # type: ignore[arg-type]


def test_other_results_are_counted() -> None:
    for result, client in (({"success": False}, Client()), ({"success": True}, Client("policy"))):
        assert _Graph(client).counted(result) is result  # type: ignore[arg-type]
