"""Poses of links, against a chain of matrices and, for the simulated arm, its closed form."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from real_robots import real_urdf

from vla_ros.robot.files import shared_folder
from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.sim.kinematics import LOWER, UPPER, forward

SIM_ARM = (shared_folder() / "urdf" / "sim_arm.urdf").read_text(encoding="utf-8")
SIM_JOINTS = [f"joint{i}" for i in range(1, 7)]


def turned(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K


def numbers(element: ET.Element | None, name: str, default: str) -> np.ndarray:
    text = default if element is None else element.get(name, default)
    return np.array([float(value) for value in text.split()])


def chain(urdf: str, q: dict[str, float], link: str) -> np.ndarray:
    """Pose of a link in the root's frame, one 4x4 matrix after the other."""
    joints = {
        j.find("child").get("link"): j
        for j in ET.fromstring(urdf).findall("joint")
        if j.find("child") is not None
    }
    T = np.eye(4)
    while link in joints:
        joint = joints[link]
        roll, pitch, yaw = numbers(joint.find("origin"), "rpy", "0 0 0")
        here = np.eye(4)
        here[:3, 3] = numbers(joint.find("origin"), "xyz", "0 0 0")
        here[:3, :3] = turned([0, 0, 1], yaw) @ turned([0, 1, 0], pitch) @ turned([1, 0, 0], roll)
        value, mimic, limit = q.get(joint.get("name")), joint.find("mimic"), joint.find("limit")
        if value is None and mimic is not None and mimic.get("joint") in q:
            value = q[mimic.get("joint")] * float(mimic.get("multiplier", 1))
            value += float(mimic.get("offset", 0))
        kind = joint.get("type")
        if value is None:
            value = 0.0
            if kind in ("revolute", "prismatic"):
                value = float(
                    np.clip(0, numbers(limit, "lower", "0")[0], numbers(limit, "upper", "0")[0])
                )
        axis = numbers(joint.find("axis"), "xyz", "1 0 0")
        axis = axis / max(np.linalg.norm(axis), 1e-12)
        moved = np.eye(4)
        if kind in ("revolute", "continuous"):
            moved[:3, :3] = turned(axis, value)
        elif kind == "prismatic":
            moved[:3, 3] = axis * value
        T = here @ moved @ T
        link = joint.find("parent").get("link")
    return T


def assert_agrees(urdf: str, joints: list[str], link: str, rows: int = 8) -> None:
    kinematics = Kinematics(urdf, joints)
    q = np.random.default_rng(3).uniform(-1.5, 1.5, (rows, len(joints)))
    position, rotation = kinematics.poses(q, link)
    for row, p, R in zip(q, position, rotation, strict=True):
        T = chain(urdf, dict(zip(joints, row, strict=True)), link)
        np.testing.assert_allclose(p, T[:3, 3], atol=1e-9)
        np.testing.assert_allclose(R, T[:3, :3], atol=1e-9)


def test_the_simulated_arm_agrees_with_its_closed_form() -> None:
    kinematics = Kinematics(SIM_ARM, SIM_JOINTS, base="base_link")
    q = np.random.default_rng(1).uniform(LOWER, UPPER, (50, 6))
    position, rotation = kinematics.poses(q, "tcp")
    expected_p, expected_R = forward(q)
    np.testing.assert_allclose(position, expected_p, atol=1e-9)
    # The URDF's tcp looks along z, the closed form's along x; the fingers open along y in both.
    np.testing.assert_allclose(rotation[:, :, 2], expected_R[:, :, 0], atol=1e-9)
    np.testing.assert_allclose(rotation[:, :, 1], expected_R[:, :, 1], atol=1e-9)


TREE = """<robot name="t">
<joint name="lift" type="prismatic"><parent link="root"/><child link="a"/>
  <origin xyz="0 0 0.5" rpy="0.3 -0.2 0.1"/><axis xyz="0 0 2"/>
  <limit lower="0.2" upper="1"/></joint>
<joint name="spin" type="continuous"><parent link="a"/><child link="b"/>
  <origin xyz="0.1 0 0"/><axis xyz="0 1 1"/></joint>
<joint name="left" type="prismatic"><parent link="b"/><child link="l"/>
  <axis xyz="0 1 0"/><limit lower="0" upper="0.04"/></joint>
<joint name="right" type="prismatic"><parent link="b"/><child link="r"/>
  <axis xyz="0 -1 0"/><mimic joint="left" multiplier="0.5" offset="0.01"/>
  <limit lower="0" upper="0.04"/></joint>
<joint name="tool" type="fixed"><parent link="r"/><child link="tip"/>
  <origin xyz="0 0 0.1" rpy="0 1 0"/></joint>
</robot>"""


@pytest.mark.parametrize("joints", [["spin"], ["left", "spin"], ["lift", "spin", "left"]])
def test_prismatic_continuous_mimic_and_fixed_joints_are_what_the_urdf_says(joints) -> None:
    for link in ("a", "b", "l", "r", "tip"):
        assert_agrees(TREE, joints, link)


def test_poses_are_in_the_base_link_that_is_asked_for() -> None:
    q = np.array([[0.4, 0.7]])
    p, R = Kinematics(TREE, ["lift", "spin"], base="a").poses(q, "tip")
    root = chain(TREE, {"lift": 0.4}, "a")
    tip = chain(TREE, {"lift": 0.4, "spin": 0.7}, "tip")
    expected = np.linalg.inv(root) @ tip
    np.testing.assert_allclose(p[0], expected[:3, 3], atol=1e-9)
    np.testing.assert_allclose(R[0], expected[:3, :3], atol=1e-9)


def test_what_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(KinematicsError, match="did you mean 'spin'"):
        Kinematics(TREE, ["spinn"])
    with pytest.raises(KinematicsError, match="did you mean 'tip'"):
        Kinematics(TREE, ["spin"]).poses(np.zeros((1, 1)), "tipp")
    with pytest.raises(KinematicsError, match="no XML"):
        Kinematics("<robot", ["spin"])


REAL = {
    "panda": ("panda_description/urdf/panda.urdf", "panda_hand_tcp"),
    "ur5": ("ur_description/urdf/ur5_robot.urdf", "tool0"),
    "so101": ("so_arm_description/urdf/so101.urdf", ""),
    "kinova": ("kinova_description/robots/kinova.urdf", ""),
    "xarm7": ("xarm_description/urdf/xarm7.urdf", ""),
    "tiago": ("tiago_description/robots/tiago_no_hand.urdf", ""),
    "talos": ("talos_data/robots/talos_full_v2.urdf", ""),
    "baxter": ("baxter_description/urdf/baxter.urdf", ""),
    "pr2": ("pr2_description/urdf/pr2.urdf", ""),
}


@pytest.mark.parametrize("robot", REAL)
def test_a_real_robot_agrees_with_a_chain_of_matrices(robot) -> None:
    path, link = REAL[robot]
    urdf = real_urdf(path)
    movable = [
        j.get("name")
        for j in ET.fromstring(urdf).findall("joint")
        if j.get("type") in ("revolute", "continuous", "prismatic") and j.find("mimic") is None
    ]
    if not link:
        link = ET.fromstring(urdf).findall("joint")[-1].find("child").get("link")
    assert_agrees(urdf, movable, link, rows=3)
