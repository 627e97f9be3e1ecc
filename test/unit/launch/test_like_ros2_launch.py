"""Our reader and ROS 2's own see the same nodes in our launch files.

Runs where ROS 2's `launch_ros` is installed (a ROS installation); skipped by name elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from vla_ros.cli.launch import find_share
from vla_ros.ros.launch_plan import NodeSpec
from vla_ros.ros.launch_yaml import load_launch

launch = pytest.importorskip("launch", reason="ROS 2's launch is not installed")
pytest.importorskip("launch_ros", reason="ROS 2's launch_ros is not installed")
pytest.importorskip("launch_yaml", reason="ROS 2's launch_yaml is not installed")

FILES = Path(__file__).parents[3] / "launch"
CASES = [
    ("demo.launch.yaml", {}),
    (
        "demo.launch.yaml",
        {"policy": "expert", "lockstep": "true", "record": "true", "seed": "7", "bag": "/tmp/x"},
    ),
    ("robot.launch.yaml", {"robot": "/r/arm.yaml", "policy": "ws://gpu:8000", "dry_run": "true"}),
]


def theirs(path: Path, arguments: dict[str, str], before: dict[str, str]) -> list[dict[str, Any]]:
    """What launch_ros would start, without starting it."""
    from launch.frontend import Parser
    from launch_ros.actions import Node

    context = launch.LaunchContext()
    context.launch_configurations.update(arguments)
    found: list[dict[str, Any]] = []

    def walk(entity: Any) -> None:
        if not isinstance(entity, Node):
            for child in entity.visit(context) or ():
                walk(child)
            return
        if entity.condition is not None and not entity.condition.evaluate(context):
            return
        entity._perform_substitutions(context)
        text = launch.utilities.perform_substitutions
        normal = launch.utilities.normalize_to_list_of_substitutions
        parameters: dict[str, Any] = {}
        for file, _ in entity._Node__expanded_parameter_arguments or ():
            for section in yaml.safe_load(Path(file).read_text()).values():
                parameters.update(section["ros__parameters"])
        found.append(
            {
                "package": text(context, normal(entity.node_package)),
                "executable": text(context, normal(entity.node_executable)),
                "name": entity.node_name,
                "parameters": parameters,
                "remappings": list(entity.expanded_remapping_rules or ()),
                "environment": {k: v for k, v in context.environment.items() if before.get(k) != v},
            }
        )

    root, parser = Parser.load(str(path))
    walk(parser.parse_description(root))
    return found


def ours(node: NodeSpec) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for entry in node.parameters:
        if isinstance(entry, Path):
            for section in yaml.safe_load(entry.read_text()).values():
                parameters.update(section["ros__parameters"])
        else:
            parameters[entry[0]] = entry[1]
    return {
        "package": node.package,
        "executable": node.executable,
        "name": f"{node.namespace}/{node.name}",
        "parameters": parameters,
        "remappings": list(node.remappings),
        "environment": dict(node.environment),
    }


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_both_runners_start_the_same_nodes(
    name: str, arguments: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FILES / name
    plan = load_launch(path, arguments, find_share=find_share, environ=os.environ)
    ours_alone = {key for node in plan.nodes for key in node.environment}
    before = {key: value for key, value in os.environ.items() if key not in ours_alone}
    monkeypatch.setattr(os, "environ", dict(before))  # launch sets variables in place
    assert [ours(node) for node in plan.nodes] == theirs(path, arguments, before)
