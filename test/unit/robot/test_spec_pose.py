"""Slices of poses in a robot file: what they mean, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_ros.chunks import Plan
from vla_ros.chunks.aggregate import resample
from vla_ros.robot.load import RobotFileError, load_robot, robot_path
from vla_ros.robot.spec.pose import parts_of
from vla_ros.robot.spec.robot import PoseSliceSpec
from vla_ros.spaces import VectorSpace

TEXT = robot_path("sim_arm_ee").read_text(encoding="utf-8")
MS = 1_000_000


def test_the_shipped_example_has_a_pose_and_a_gripper_and_is_executed_by_joints() -> None:
    spec = load_robot("sim_arm_ee")
    space = spec.action_space()
    assert space.names[:4] == ("hand_x", "hand_y", "hand_z", "hand_r11")
    assert space.kinds == ("pose_pos",) * 3 + ("pose_rot",) * 6 + ("binary",)
    joints = spec.in_joints()
    assert joints.action_space().names == (*spec.output("arm").joints, "gripper")
    assert spec.motion_limits().names == spec.output("arm").joints
    assert joints.urdf_text == spec.urdf_text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    link: tcp\n", "    lnk: tcp\n", "unknown key; did you mean 'link'"),
        ("kind: pose\n", "kind: poses\n", "kind 'poses' is unknown; expected one of"),
        ("rotation: sixd\n    output", "rotation: rpx\n    output", "Input should be 'quaternion'"),
        (
            "rotation: sixd\n    output",
            "rotation: sixd\n    relative_to: command\n    output",
            "steps (relative_to: command) are added up, which sixd cannot be",
        ),
        ("    output: arm\n", "    output: arm\n    names: [x, y, z]\n", "names 3 elements, a pos"),
        ("    output: arm\n", "    output: arm\n    posture: hom\n", "posture 'hom' of action"),
        ("    output: arm\n", "    output: gripper\n", "executes two slices; give each its own"),
        ("urdf: urdf/sim_arm.urdf\n", "", "(pose) needs a urdf"),
        ("    frame: base_link\n", "    frame: link3\n", "'link3' is moved by joint1, joint2"),
    ],
)
def test_a_mistake_is_refused_in_words_with_its_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in TEXT
    wrong = tmp_path / "robot.yaml"
    wrong.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RobotFileError) as refused:
        load_robot(wrong)
    assert words in str(refused.value)
    assert str(refused.value).startswith(f"{wrong}:")


def test_elements_may_be_called_as_the_policy_calls_them() -> None:
    part = PoseSliceSpec(
        name="hand", kind="pose", link="tcp", output="arm", rotation="rpy",
        names=("x", "y", "z", "roll", "pitch", "yaw"),
    )  # fmt: skip
    assert parts_of(part) == (
        ("hand_position", "pose_pos", ("x", "y", "z")),
        ("hand_rotation", "pose_rot", ("roll", "pitch", "yaw")),
    )


@pytest.mark.parametrize("dt_ms", [20, 33, 50, 80])
def test_steps_read_on_another_grid_lead_as_far(dt_ms) -> None:
    space = VectorSpace.of(("hand", "pose_step", ("x", "y")))
    steps = np.random.default_rng(dt_ms).normal(size=(40, 2))
    plan = Plan(
        run_id=bytes(16), epoch=0, seq=0, spec_hash=0, t_obs_ns=0, start_ns=0, dt_ns=50 * MS,
        valid_from_ns=0, actions=steps,
    )  # fmt: skip
    rows = 2 * 40 * 50 // dt_ms
    read = resample(plan, space, 0, dt_ms * MS, rows)
    np.testing.assert_allclose(read.sum(axis=0), steps.sum(axis=0))
    # Up to any instant of both grids, not only in all.
    common = np.lcm(dt_ms, 50)
    for t_ms in range(common, 40 * 50, common):
        np.testing.assert_allclose(
            read[: t_ms // dt_ms].sum(axis=0), steps[: t_ms // 50].sum(axis=0)
        )
