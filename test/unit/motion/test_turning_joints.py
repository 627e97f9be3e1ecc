"""Joints without position limits are angles: every whole turn is the same pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_rig import MS, Rig, arm_limits, examples

from vla_ros.motion import MotionLimits
from vla_ros.spaces.turns import TURN, continued, wrapped

BOTH = np.array([True, False])
# One joint that turns without end, and one that does not.
LIMITS = replace(arm_limits(2), lower=np.array([-np.inf, -3.0]), upper=np.array([np.inf, 3.0]))


def turning(t: np.ndarray) -> np.ndarray:
    """2 rad/s across several seams, from and to rest; the other joint swings. Shape (n, 2)."""
    u = np.clip(t / 10.0, 0.0, 1.0)
    return np.stack([11.0 * u**3 * (10.0 - 15.0 * u + 6.0 * u**2), 0.3 * np.sin(t) ** 3], axis=1)


def test_only_joints_without_any_position_limit_turn() -> None:
    assert LIMITS.turning.tolist() == [True, False]
    half = replace(LIMITS, lower=np.array([-np.inf, -3.0]), upper=np.array([1.0, 3.0]))
    assert half.turning.tolist() == [False, False]


@pytest.mark.parametrize("dt_ms", [10, 20, 50])
def test_overlapping_chunks_that_count_from_minus_pi_to_pi_are_followed_across_the_seam(
    dt_ms,
) -> None:
    """Neither a turn back at a seam inside a chunk, nor between two chunks, nor after two."""
    rig = Rig(LIMITS, np.zeros(2))
    for now_ms in range(0, 10_000, 10):
        if now_ms % 200 == 0:
            t = (now_ms + dt_ms * np.arange(600 // dt_ms)) * 1e-3
            assert rig.accept(wrapped(turning(t), BOTH), dt_ms=dt_ms)
        rig.tick()
    rig.check()
    t = np.array(rig.trace.t_ns) * 1e-9
    assert np.abs(rig.trace.p - turning(t)).max() < 1e-3
    assert rig.trace.p[-1, 0] > 1.7 * TURN
    assert max(s.stretch for s in rig.trace.setpoints) == 1.0


def test_a_pose_of_a_turning_joint_is_reached_the_short_way() -> None:
    rig = Rig(LIMITS, np.array([3.0, 0.0]))
    rig.motion.go_to(np.array([-3.0, 0.5]), 0)
    rig.run(2.0)
    assert rig.trace.p[-1] == pytest.approx([TURN - 3.0, 0.5])
    assert (np.diff(rig.trace.p[:, 0]) >= 0.0).all()
    rig.check()


def test_a_limited_joint_goes_the_long_way_that_its_rows_say() -> None:
    rig = Rig(LIMITS, np.array([0.0, 2.9]))
    rig.accept(np.stack([np.zeros(60), np.linspace(2.9, -2.9, 60)], axis=1), dt_ms=100)
    rig.run(8.0)
    assert rig.trace.p[-1, 1] == pytest.approx(-2.9, abs=1e-3)
    rig.check()


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=20),
    st.integers(-3, 3),
    st.floats(-30.0, 30.0),
    st.data(),
)
def test_rows_go_on_where_the_joint_is_and_say_the_same(steps, turns, near, data) -> None:
    at = data.draw(st.integers(0, len(steps) - 1))
    rows = np.stack([np.cumsum(steps), np.cumsum(steps)], axis=1)
    out = continued(
        wrapped(rows, BOTH) + np.array([TURN * turns, 0.0]), BOTH, np.array([near, near]), at
    )
    assert np.abs(out[at, 0] - near) <= np.pi + 1e-9
    assert np.diff(out[:, 0]) == pytest.approx(np.diff(rows[:, 0]), abs=1e-9)
    assert np.abs(np.sin(0.5 * (out[:, 0] - rows[:, 0]))).max() < 1e-9
    assert (out[:, 1] == rows[:, 1]).all()


def test_a_prismatic_joint_is_moved_in_metres_inside_its_stroke() -> None:
    """A finger of 40 mm beside a lift of 0.8 m: limits and rows differ by an order of magnitude."""
    limits = MotionLimits(
        names=("lift", "finger"),
        lower=np.zeros(2),
        upper=np.array([0.8, 0.04]),
        velocity=np.array([0.3, 0.2]),
        acceleration=np.array([1.0, 2.0]),
        jerk=np.array([10.0, 40.0]),
    )
    rig = Rig(limits, np.zeros(2))
    t = np.arange(100) * 0.02
    u = np.clip(t / 1.9, 0.0, 1.0) ** 3 * (10.0 - 15.0 * np.clip(t / 1.9, 0.0, 1.0))
    u = u + 6.0 * np.clip(t / 1.9, 0.0, 1.0) ** 5
    assert rig.accept(u[:, None] * [0.25, 0.035], dt_ms=20, start_ms=10)
    rig.run(2.5)
    rig.check()
    assert rig.trace.p[-1] == pytest.approx([0.25, 0.035], abs=1e-6)
    assert rig.accept(np.tile([0.25, 0.3], (100, 1)), dt_ms=20)  # 30 cm, not 30 mm
    rig.run(2.5)
    rig.check()
    assert rig.trace.p[-1, 1] <= 0.04
    assert rig.now_ns > 5000 * MS - 1
