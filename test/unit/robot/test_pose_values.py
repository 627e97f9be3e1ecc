"""Poses as elements: every form and every relation there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.robot.poses.pose_values import (
    PoseError,
    Poses,
    path_of_steps,
    placed,
    read,
    relative_to,
    steps_of_path,
    written,
)
from vla_ros.robot.spec.robot import PoseSliceSpec
from vla_ros.spaces.rotations import ROTATION_SIZES, matrix_from

seeds = st.integers(0, 2**32 - 1)
axes = st.sampled_from(["link", "frame"])


def part(form: str = "axis_angle", way: str = "link", relative: str = "frame") -> PoseSliceSpec:
    return PoseSliceSpec(
        name="hand",
        kind="pose",
        link="l",
        output="o",
        rotation=form,
        axes=way,
        relative_to=relative,
    )


def some(seed: int, count: int, turn: float = 3.0) -> Poses:
    dice = np.random.default_rng(seed)
    vectors = turn * dice.uniform(-1, 1, (count, 3))
    return Poses(dice.normal(size=(count, 3)), matrix_from("axis_angle", vectors))


def assert_same(one: Poses, other: Poses, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(one.position, other.position, atol=atol)
    np.testing.assert_allclose(one.rotation, other.rotation, atol=atol)


@given(form=st.sampled_from(sorted(ROTATION_SIZES)), seed=seeds)
def test_what_is_written_is_read_as_it_was(form, seed) -> None:
    poses = some(seed, 5)
    elements = written(part(form), poses)
    assert elements.shape == (5, 3 + ROTATION_SIZES[form])
    assert_same(read(part(form), elements), poses, 1e-7)


@given(seed=seeds, way=axes)
def test_what_is_placed_on_a_base_is_relative_to_it_as_it_was(seed, way) -> None:
    poses, base = some(seed, 5), some(seed + 1, 1)[0]
    assert_same(placed(part(way=way), relative_to(part(way=way), poses, base), base), poses)
    assert_same(relative_to(part(way=way), placed(part(way=way), poses, base), base), poses)


@given(seed=seeds, way=axes, share=st.floats(0.0, 1.0))
def test_steps_of_a_path_are_the_path_wherever_it_is_begun(seed, way, share) -> None:
    """From a row it is exact; between two rows the path passes the pose that it is begun at."""
    path, slice_ = some(seed, 9, turn=0.5), part(way=way, relative="command")
    steps = steps_of_path(slice_, path)
    row = round(share * 7)
    assert_same(path_of_steps(slice_, steps, row, path[row + 1]), path[1:], 1e-8)
    between = path_of_steps(slice_, steps, 7 * share, path[0])
    low = min(int(7 * share), 6)
    part_way = 7 * share - low
    there = between.position[low] + part_way * (between.position[low + 1] - between.position[low])
    if way == "frame":
        np.testing.assert_allclose(there, path.position[0], atol=1e-8)
    assert_same(Poses(*_step(slice_, between, 3)), Poses(*_step(slice_, path[1:], 3)), 1e-8)


def _step(slice_: PoseSliceSpec, path: Poses, k: int) -> tuple[np.ndarray, np.ndarray]:
    """What leads from one row to the next: the same wherever a path is begun."""
    step = relative_to(slice_, path[k + 1], path[k])
    return step.position, step.rotation


def test_a_plan_that_begins_before_its_first_row_begins_with_part_of_the_first_step() -> None:
    slice_ = part(way="frame", relative="command")
    steps = Poses(np.tile([0.1, 0, 0], (4, 1)), np.tile(np.eye(3), (4, 1, 1)))
    there = Poses(np.zeros(3), np.eye(3))
    for row, first in ((-1.0, 0.1), (-0.5, 0.05), (0.0, 0.0), (2.0, -0.2), (9.0, -0.3)):
        path = path_of_steps(slice_, steps, row, there)
        np.testing.assert_allclose(path.position[:, 0], first + 0.1 * np.arange(4), atol=1e-12)


@pytest.mark.parametrize("values", [[0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 9], [np.nan] * 7])
def test_no_quaternion_is_no_pose(values) -> None:
    with pytest.raises(PoseError, match="'hand' has a"):
        read(part("quaternion"), np.array([values], dtype=np.float64))
