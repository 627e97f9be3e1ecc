"""Velocity plans: limited in speed and acceleration, and the displacement is that of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_rig import examples, rounds

from vla_ros.motion import MotionRefused, VelocityMotion

MS = 1_000_000
PERIOD_NS = 10 * MS
# What is owed at a steady speed is the way of stopping from it, known to 1/8 of one step of the
# speed (0.01 m/s, in one period): 1.25e-5 m, and so the speed to a * 1.25e-5 m / speed.
STEADY = 1.0 * 0.125 * 0.01 * 0.01 / 0.5


def base(**settings_) -> VelocityMotion:
    return VelocityMotion(
        ("vx", "wz"), np.array([1.0, 2.0]), np.array([1.0, 3.0]), PERIOD_NS, **settings_
    )


def run(motion: VelocityMotion, begin_ms: int, end_ms: int) -> np.ndarray:
    return np.array([motion.advance(ms * MS).velocity for ms in range(begin_ms, end_ms, 10)])


@rounds
@settings(max_examples=examples(15), deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1.0, 1.0), st.floats(-2.0, 2.0)), min_size=1, max_size=20),
    st.sampled_from([7, 20, 33, 50]),
)
def test_the_displacement_of_a_plan_is_that_of_its_rows(again, rows, dt_ms) -> None:
    motion = base()
    motion.accept(0, dt_ms * MS, 0, np.array(rows), -PERIOD_NS)
    v = run(motion, 0, 6000)
    assert v.sum(axis=0) * 0.01 == pytest.approx(np.sum(rows, axis=0) * dt_ms * 1e-3, abs=1e-9)
    assert motion.at_rest
    assert (np.abs(v) <= [1.0, 2.0]).all()
    steps = np.abs(np.diff(v, axis=0, prepend=0.0))
    assert (steps <= np.array([1.0, 3.0]) * 0.01 + 1e-12).all()


def test_a_plan_in_one_direction_never_reverses() -> None:
    motion = base()
    motion.accept(0, 50 * MS, 0, np.tile([0.8, 1.0], (16, 1)), -PERIOD_NS)
    assert (run(motion, 0, 4000) >= 0.0).all()


def test_a_stop_slows_down_to_zero_and_stays_there() -> None:
    motion = base()
    motion.accept(0, 50 * MS, 0, np.tile([0.8, -1.0], (60, 1)), -PERIOD_NS)
    v = run(motion, 0, 1000)
    assert v[-1] == pytest.approx([0.8, -1.0], abs=STEADY)
    motion.stop(1000 * MS)
    v = run(motion, 1000, 3000)
    assert (np.diff(np.abs(v), axis=0) <= 0.0).all()
    assert np.flatnonzero(v[:, 0])[-1] * 0.01 <= 0.8
    assert not v[-1].any()
    assert motion.at_rest


def test_too_fast_a_plan_is_stretched_as_a_group() -> None:
    motion = base()
    motion.accept(0, 50 * MS, 0, np.tile([1.5, 1.0], (16, 1)), -PERIOD_NS)
    setpoint = motion.advance(0)
    assert setpoint.stretch == pytest.approx(1.5)
    v = np.concatenate([[setpoint.velocity], run(motion, 10, 6000)])
    assert v.sum(axis=0) * 0.01 == pytest.approx([1.5 * 0.8, 0.8], abs=1e-6)
    assert v[:, 0].max() <= 1.0


def test_a_successor_takes_over_at_its_valid_from_without_a_jump() -> None:
    motion = base()
    motion.accept(0, 50 * MS, 0, np.tile([0.5, 0.0], (40, 1)), -PERIOD_NS)
    run(motion, 0, 1000)
    motion.accept(900 * MS, 50 * MS, 1200 * MS, np.tile([-0.5, 0.0], (40, 1)), 1000 * MS)
    v = run(motion, 1000, 2500)
    assert v[15, 0] == pytest.approx(0.5, abs=STEADY)
    assert v[21, 0] < 0.5
    assert (np.abs(np.diff(v[:, 0])) <= 0.01 + 1e-12).all()
    assert v[-1, 0] < 0.0


@pytest.mark.parametrize(
    ("rows", "start_ms", "dt_ms", "text"),
    [
        (np.full((3, 2), np.nan), 0, 50, "finite"),
        (np.zeros((3, 1)), 0, 50, "shape"),
        (np.zeros((3, 2)), 0, 0, "spacing"),
        (np.full((3, 2), 50.0), 0, 50, "units"),
        (np.zeros((3, 2)), -500, 50, "in the past"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(rows, start_ms, dt_ms, text) -> None:
    with pytest.raises(MotionRefused, match=text):
        base().accept(start_ms * MS, dt_ms * MS, 0, rows, 0)


def test_a_clock_that_jumps_stops_the_base() -> None:
    for jump_ms in (-500, 5000):
        motion = base()
        motion.accept(0, 50 * MS, 0, np.tile([0.8, 0.0], (600, 1)), -PERIOD_NS)
        before = run(motion, 0, 1000)[-1]
        v = run(motion, 1000 + jump_ms, 3000 + jump_ms)
        assert np.abs(v[0] - before).max() <= 0.03
        assert not v[-1].any()
