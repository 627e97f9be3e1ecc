"""The inner ring works where neither torch nor ROS is installed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from source import ROOT, modules

pytestmark = pytest.mark.slow
BLOCKED = (
    "torch", "torchvision", "rclpy", "vla_ros_msgs", "mujoco", "pydantic", "launch", "yaml",
)  # fmt: skip

SCRIPT = """
import importlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked in this test", name=name)

sys.meta_path.insert(0, Block())
for name in {names!r}:
    importlib.import_module(name)
loaded = sorted({{name.split(".")[0] for name in sys.modules}} & set({blocked!r}))
assert not loaded, loaded
"""


def _import_in_a_fresh_process(names: list[str], blocked: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(blocked=blocked, names=names)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", ["spaces", "sync", "chunks", "motion"])
def test_ring_1_imports_without_torch_and_ros(part: str) -> None:
    names = [m.name for m in modules() if m.part == part]
    assert names
    _import_in_a_fresh_process(names, BLOCKED)


def test_the_package_itself_imports_nothing() -> None:
    _import_in_a_fresh_process(["vla_ros", "vla_ros.errors"], (*BLOCKED, "numpy", "cv2", "ruckig"))


def test_the_policy_protocol_and_the_remote_client_import_without_torch_and_ros() -> None:
    names = [m.name for m in modules() if m.name.startswith("vla_ros.policy.remote")]
    names += ["vla_ros.policy", "vla_ros.policy.protocol", "vla_ros.policy.runner"]
    _import_in_a_fresh_process(names, ("torch", "rclpy", "vla_ros_msgs", "mujoco"))


def test_the_robots_side_imports_without_torch() -> None:
    parts = ("robot", "task_planning")
    names = [m.name for m in modules() if m.part in parts]
    _import_in_a_fresh_process(names, ("torch", "rclpy", "vla_ros_msgs", "mujoco"))


def test_the_block_blocks() -> None:
    with pytest.raises(AssertionError, match="numpy is blocked"):
        _import_in_a_fresh_process(["vla_ros.spaces"], ("numpy",))
