"""Imports point inwards only."""

from __future__ import annotations

import ast
import sys

import pytest
from source import ROOT, Module, modules

RING_1 = {"spaces", "sync", "chunks", "motion"}
RING_2 = {"robot", "policy", "task_planning", "data", "train", "sim"}
RING_3 = {"ros", "nodes", "cli"}

#: What each part may import from the others.
MAY_IMPORT = {
    "": set(),
    "spaces": set(),
    "sync": {"spaces"},
    "chunks": {"spaces"},
    "motion": {"spaces"},
    "robot": RING_1,
    "policy": RING_1 | {"robot"},
    "task_planning": RING_1 | {"robot"},
    "data": RING_1 | {"robot"},
    "sim": RING_1 | {"robot"},
    "train": RING_1 | {"robot", "policy", "data"},
    "ros": RING_1 | RING_2 - {"sim"},
    "nodes": RING_1 | RING_2 | {"ros"},
    "cli": RING_1 | RING_2 | {"ros", "nodes"},
}

#: Beside these every module may import `vla_ros` and `vla_ros.errors`.
COMMON = {"", "errors"}

#: Everything outside the standard library that ring 1 knows.
RING_1_LIBRARIES = {
    "spaces": {"numpy", "cv2"},
    "sync": {"numpy"},
    "chunks": {"numpy"},
    "motion": {"numpy", "ruckig"},
}

#: Standard library that ring 1 must not touch: clocks, files, processes, the network, chance.
FORBIDDEN_IN_RING_1 = {
    "asyncio", "datetime", "logging", "multiprocessing", "os", "pathlib", "random", "shutil",
    "socket", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip

ROS = {
    "rclpy", "vla_ros_msgs", "ament_index_python", "launch", "launch_ros", "tf2_ros", "sensor_msgs",
    "std_msgs", "geometry_msgs", "trajectory_msgs", "builtin_interfaces", "lifecycle_msgs",
    "rosgraph_msgs", "diagnostic_msgs", "unique_identifier_msgs", "std_srvs", "action_msgs",
}  # fmt: skip

#: A robot's computer runs these without torch.
WITHOUT_TORCH = ("vla_ros.policy", "vla_ros.policy.protocol", "vla_ros.policy.runner")

ALL = modules()
IDS = [module.name for module in ALL]


def _internal(module: Module) -> list[tuple[str, int]]:
    found = []
    for name, line in module.imports():
        words = name.split(".")
        if words[0] == "vla_ros":
            found.append((words[1] if len(words) > 1 else "", line))
    return found


@pytest.mark.parametrize("module", ALL, ids=IDS)
def test_a_module_imports_only_from_rings_further_in(module: Module) -> None:
    allowed = MAY_IMPORT[module.part] | COMMON | {module.part}
    wrong = [
        f"{module.path.relative_to(ROOT)}:{line} imports vla_ros.{part}"
        for part, line in _internal(module)
        if part not in allowed
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "module", [m for m in ALL if m.part in RING_1], ids=[m.name for m in ALL if m.part in RING_1]
)
def test_ring_1_knows_numbers_only(module: Module) -> None:
    foreign = RING_1_LIBRARIES[module.part]
    wrong = []
    for name, line in module.imports():
        top = name.split(".")[0]
        if top in FORBIDDEN_IN_RING_1 or (not _standard(top) and top not in foreign | {"vla_ros"}):
            wrong.append(f"{module.path.relative_to(ROOT)}:{line} imports {name}")
    calls = (node.func for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    for function in calls:
        if isinstance(function, ast.Name) and function.id in {"open", "print", "input"}:
            wrong.append(f"{module.path.relative_to(ROOT)}:{function.lineno} calls {function.id}()")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "module",
    [m for m in ALL if m.part not in RING_3],
    ids=[m.name for m in ALL if m.part not in RING_3],
)
def test_only_ring_3_knows_ros(module: Module) -> None:
    wrong = [
        f"{module.path.relative_to(ROOT)}:{line} imports {name}"
        for name, line in module.imports()
        if name.split(".")[0] in ROS
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "module",
    [m for m in ALL if m.part in RING_3 | {"robot", "sim", "task_planning"}],
    ids=[m.name for m in ALL if m.part in RING_3 | {"robot", "sim", "task_planning"}],
)
def test_torch_stays_with_the_models(module: Module) -> None:
    # A command or a node may load torch when it is asked to train or infer, never on import.
    top_level = {
        alias.name.split(".")[0]
        for node in module.tree.body
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in module.tree.body
        if isinstance(node, ast.ImportFrom)
    }
    assert "torch" not in top_level, f"{module.path.relative_to(ROOT)} imports torch"


@pytest.mark.parametrize(
    "module",
    [m for m in ALL if m.name in WITHOUT_TORCH or m.name.startswith("vla_ros.policy.remote")],
    ids=[
        m.name for m in ALL if m.name in WITHOUT_TORCH or m.name.startswith("vla_ros.policy.remote")
    ],
)
def test_the_policy_protocol_and_the_remote_client_know_no_torch(module: Module) -> None:
    assert "torch" not in {name.split(".")[0] for name, _ in module.imports()}


def test_every_part_has_its_ring() -> None:
    parts = {m.part for m in ALL}
    assert parts <= set(MAY_IMPORT), f"no ring for {parts - set(MAY_IMPORT)}"
    assert not parts & {"utils", "helpers", "common", "misc"}


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {m.path.parent for m in ALL}
    bare = [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").is_file()]
    assert not bare, f"without __init__.py setup.py does not install them: {bare}"


def test_nodes_are_thin() -> None:
    long = {
        str(m.path.relative_to(ROOT)): lines
        for m in ALL
        if m.part == "nodes" and (lines := m.text.count("\n")) > 200
    }
    assert not long, f"over 200 lines, move the work inwards: {long}"


def _standard(name: str) -> bool:
    return name in sys.stdlib_module_names
