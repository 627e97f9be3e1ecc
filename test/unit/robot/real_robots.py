"""URDFs of real robots, from the package example-robot-data where it is installed."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest


def _folder() -> Path | None:
    roots = [Path(os.environ.get("EXAMPLE_ROBOT_DATA", "/nowhere"))]
    try:
        found = files("example-robot-data") or []
    except PackageNotFoundError:
        found = []
    roots += [Path(str(f.locate())).parents[2] for f in found if f.name == "panda.urdf"]
    return next((root for root in roots if root.is_dir()), None)


def real_urdf(path: str) -> str:
    """Text of a URDF below the package's robots folder; skips the test where it is not there."""
    folder = _folder()
    if folder is None:
        pytest.skip(
            "pip install example-robot-data, or name its robots folder in EXAMPLE_ROBOT_DATA"
        )
    return (folder / path).read_text(encoding="utf-8")


ARMS = {
    "panda": ("panda_description/urdf/panda.urdf", "panda_link0", "panda_hand_tcp",
              [f"panda_joint{i}" for i in range(1, 8)]),
    "ur5": ("ur_description/urdf/ur5_robot.urdf", "base_link", "tool0",
            ["shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint",
             *(f"wrist_{i}_joint" for i in (1, 2, 3))]),
    "so101": ("so_arm_description/urdf/so101.urdf", "base_link", "gripper_link",
              ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"]),
    "kinova": ("kinova_description/robots/kinova.urdf", "j2s6s200_link_base",
               "j2s6s200_end_effector", [f"j2s6s200_joint_{i}" for i in range(1, 7)]),
    "xarm7": ("xarm_description/urdf/xarm7.urdf", "link_base", "link7",
              [f"joint{i}" for i in range(1, 8)]),
    "tiago": ("tiago_description/robots/tiago_no_hand.urdf", "base_footprint", "arm_7_link",
              ["torso_lift_joint", *(f"arm_{i}_joint" for i in range(1, 8))]),
    "talos": ("talos_data/robots/talos_full_v2.urdf", "torso_2_link", "arm_left_7_link",
              [f"arm_left_{i}_joint" for i in range(1, 8)]),
    "baxter": ("baxter_description/urdf/baxter.urdf", "torso", "left_gripper",
               [f"left_{j}" for j in ("s0", "s1", "e0", "e1", "w0", "w1", "w2")]),
    "pr2": ("pr2_description/urdf/pr2.urdf", "torso_lift_link", "r_gripper_tool_frame",
            [f"r_{j}_joint" for j in ("shoulder_pan", "shoulder_lift", "upper_arm_roll",
                                      "elbow_flex", "forearm_roll", "wrist_flex", "wrist_roll")]),
}  # fmt: skip
"""URDF, the frame that the arm stands in, its hand, and its joints."""
