"""How long it takes to turn a chunk of 50 poses into joint positions, and how true they are.

    python -m benchmarks.kinematics [--quick] [--json out.json]

Arms: the simulated one with 6 joints, one with 7 joints that is made up here, and real ones where
the package example-robot-data is installed or EXAMPLE_ROBOT_DATA names its robots folder. Chunks:
the poses of a smooth motion; the same with 2 mm and 10 mrad of noise; a straight way out of reach.
Times are of this process's CPU, so that others on the machine count less.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np

from benchmarks.harness import arguments, at_most, finish
from vla_ros.motion import MotionLimits
from vla_ros.robot.files import shared_folder
from vla_ros.robot.poses.inverse_kinematics import InverseKinematics
from vla_ros.robot.poses.kinematics import Kinematics
from vla_ros.robot.poses.pose_values import Poses
from vla_ros.robot.spec.urdf import read_urdf
from vla_ros.spaces.rotations import matrix_from

ROWS, DT_S = 50, 0.02
REAL = {
    "panda": ("panda_description/urdf/panda.urdf", "panda_link0", "panda_hand_tcp",
              [f"panda_joint{i}" for i in range(1, 8)]),
    "ur5": ("ur_description/urdf/ur5_robot.urdf", "base_link", "tool0",
            ["shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint",
             *(f"wrist_{i}_joint" for i in (1, 2, 3))]),
    "xarm7": ("xarm_description/urdf/xarm7.urdf", "link_base", "link7",
              [f"joint{i}" for i in range(1, 8)]),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm: its URDF, the frame it stands in, its hand and its joints."""

    name: str
    urdf: str
    frame: str
    link: str
    joints: list[str]


def main() -> int:
    """Run it."""
    options = arguments(__doc__ or "").parse_args()
    seeds = 2 if options.quick else 20
    rows = [row for arm in arms() for row in measured(arm, seeds)]
    smooth = [row for row in rows if row["chunk"] == "smooth"]
    goals = [
        at_most("a smooth chunk, the slowest arm's median [ms]", 6.0,
                max(row["median [ms]"] for row in smooth)),
        at_most("the worst chunk of any kind [ms]", 30.0, max(row["worst [ms]"] for row in rows)),
        at_most("error of a smooth row [mm]", 0.5, max(row["error [mm]"] for row in smooth)),
        at_most("smooth rows not followed [%]", 0.0,
                max(100.0 - row["followed [%]"] for row in smooth)),
    ]  # fmt: skip
    return finish("poses into joints", rows, goals, options.json)


def measured(arm: Arm, seeds: int) -> Iterator[dict]:
    """One row for each kind of chunk."""
    known = [read_urdf(arm.urdf)[joint].limits for joint in arm.joints]
    count = len(known)
    limits = MotionLimits(
        names=tuple(arm.joints),
        lower=np.array([-np.inf if k.lower is None else k.lower for k in known]),
        upper=np.array([np.inf if k.upper is None else k.upper for k in known]),
        velocity=np.array([k.velocity for k in known]),
        acceleration=np.full(count, 10.0),
        jerk=np.full(count, 100.0),
    )
    kinematics = Kinematics(arm.urdf, arm.joints, arm.frame)
    low, high = np.maximum(limits.lower, -np.pi), np.minimum(limits.upper, np.pi)
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    solver = InverseKinematics(kinematics, arm.link, arm.frame, limits, middle)
    way = np.linspace(0.0, 1.0, ROWS)[:, None]
    for kind in ("smooth", "noisy", "out of reach"):
        times, errors, followed = [], [0.0], []
        for seed in range(seeds):
            dice = np.random.default_rng(seed)
            start = middle + dice.uniform(-0.5, 0.5, count) * half
            reach = np.minimum(0.3 * half, 0.6 * limits.velocity * ROWS * DT_S / 2.0)
            goal = start + dice.uniform(-1.0, 1.0, count) * reach
            path = start + (10 * way**3 - 15 * way**4 + 6 * way**5) * (goal - start)
            poses = Poses(*kinematics.poses(path, arm.link))
            if kind == "noisy":
                turn = matrix_from("axis_angle", 0.01 * dice.normal(size=(ROWS, 3)))
                noise = 0.002 * dice.normal(size=(ROWS, 3))
                poses = Poses(poses.position + noise, turn @ poses.rotation)
            elif kind == "out of reach":
                away = 3.0 * poses.position[0] / np.linalg.norm(poses.position[0])
                still = np.repeat(poses.rotation[:1], ROWS, axis=0)
                poses = Poses(poses.position[0] + 0.5 * way * away, still)
            began = time.process_time()
            found = solver.follow(
                poses.position, poses.rotation, start, DT_S, tolerance_m=5e-3, tolerance_rad=0.05
            ).rows
            times.append(1e3 * (time.process_time() - began))
            there, _ = kinematics.poses(found, arm.link)
            off = np.linalg.norm(there - poses.position[: len(found)], axis=1)
            errors.append(1e3 * float(off.max(initial=0.0)))
            followed.append(100.0 * len(found) / ROWS)
        yield {
            "arm": arm.name,
            "joints": count,
            "chunk": kind,
            "median [ms]": float(np.median(times)),
            "worst [ms]": float(np.max(times)),
            "followed [%]": float(np.mean(followed)),
            "error [mm]": max(errors),
        }


def arms() -> Iterator[Arm]:
    """Those that are there."""
    text = (shared_folder() / "urdf" / "sim_arm.urdf").read_text(encoding="utf-8")
    joints = [f"joint{i}" for i in range(1, 7)]
    yield Arm(name="sim_arm", urdf=text, frame="base_link", link="tcp", joints=joints)
    made_up = [f"j{i}" for i in range(7)]
    yield Arm(name="made up", urdf=seven_joints(), frame="base", link="tip", joints=made_up)
    folder = robots()
    for name, (path, frame, link, names) in REAL.items() if folder else ():
        text = (Path(str(folder)) / path).read_text(encoding="utf-8")
        yield Arm(name=name, urdf=text, frame=frame, link=link, joints=names)


def seven_joints() -> str:
    """Shoulder, elbow and wrist of a human-like arm."""
    lengths = (0.15, 0.15, 0.2, 0.2, 0.2, 0.2, 0.08)
    joints = "".join(
        f'<joint name="j{i}" type="revolute"><parent link="{f"l{i}" if i else "base"}"/>'
        f'<child link="l{i + 1}"/><origin xyz="0 0 {length}"/>'
        f'<axis xyz="0 {i % 2} {1 - i % 2}"/>'
        '<limit lower="-2.8" upper="2.8" velocity="2.5"/></joint>'
        for i, length in enumerate(lengths)
    )
    tip = '<joint name="tip" type="fixed"><parent link="l7"/><child link="tip"/></joint>'
    return f'<robot name="seven">{joints}{tip}</robot>'


def robots() -> Path | None:
    """The robots folder of example-robot-data, if it is there."""
    named = Path(os.environ.get("EXAMPLE_ROBOT_DATA", "/nowhere"))
    try:
        installed = files("example-robot-data") or []
    except PackageNotFoundError:
        installed = []
    found = [Path(str(f.locate())).parents[2] for f in installed if f.name == "panda.urdf"]
    return next((folder for folder in (named, *found) if folder.is_dir()), None)


if __name__ == "__main__":
    sys.exit(main())
