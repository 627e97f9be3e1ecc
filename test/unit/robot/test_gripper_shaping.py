"""What a gripper is told of what a policy says."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vla_ros.robot.outputs.gripper_shaping import GripperShaping
from vla_ros.robot.spec.outputs import GripperSpec

MS = 1_000_000


def told(shaping: GripperShaping, values: list[float], step_ms: int = 100) -> list[float]:
    return [shaping(value, i * step_ms * MS) for i, value in enumerate(values)]


def test_a_binary_gripper_is_thresholded_at_one_half_unless_told_otherwise() -> None:
    assert told(GripperShaping(GripperSpec(), "binary"), [0.4, 0.6, 0.5, 0.49]) == [0, 1, 1, 0]


def test_values_between_the_thresholds_change_nothing() -> None:
    spec = GripperSpec(close_below=0.3, open_above=0.7)
    values = [1.0, 0.4, 0.6, 0.31, 0.29, 0.5, 0.69, 0.71]
    assert told(GripperShaping(spec, "binary"), values) == [1, 1, 1, 1, 0, 0, 0, 1]


def test_a_sticky_gripper_keeps_its_state_for_a_while_and_then_follows() -> None:
    shaping = GripperShaping(GripperSpec(min_hold_s=0.25), "binary")
    assert told(shaping, [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]) == [1, 1, 1, 0, 0, 0, 1]


def test_a_continuous_gripper_moves_no_faster_than_its_rate() -> None:
    shaping = GripperShaping(GripperSpec(max_rate=2.0), "gripper")
    assert told(shaping, [0.0, 1.0, 1.0, 0.9, 0.9]) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("kind", ["binary", "gripper"])
def test_a_clock_that_goes_back_holds_a_gripper_no_longer_than_ever(kind) -> None:
    shaping = GripperShaping(GripperSpec(min_hold_s=0.25, max_rate=2.0), kind)
    shaping.jump(1.0, 420_000 * MS)
    assert told(shaping, [0.0] * 7)[-1] == 0.0


def test_a_named_pose_is_taken_at_once() -> None:
    shaping = GripperShaping(GripperSpec(min_hold_s=9.0, max_rate=0.1), "binary")
    shaping(1.0, 0)
    assert shaping.jump(0.0, MS) == 0.0


@given(
    values=st.lists(st.floats(-10, 10), min_size=1, max_size=40),
    kind=st.sampled_from(["binary", "gripper"]),
    rate=st.floats(0.1, 10),
)
def test_whatever_the_policy_says_the_gripper_is_told_something_sane(values, kind, rate) -> None:
    out = told(GripperShaping(GripperSpec(max_rate=rate), kind), values)
    assert all(0.0 <= value <= 1.0 for value in out)
    if kind == "binary":
        assert set(out) <= {0.0, 1.0}
    else:
        assert all(abs(b - a) <= rate * 0.1 + 1e-9 for a, b in itertools.pairwise(out))


def test_thresholds_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="must not be above open_above"):
        GripperSpec(close_below=0.8, open_above=0.2)
