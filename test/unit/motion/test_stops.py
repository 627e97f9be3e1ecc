"""Stops, moves to poses, plans that end, and clocks that jump."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from motion_rig import MS, Rig, arm_limits, examples, rounds
from ruckig import ControlInterface, InputParameter, Ruckig, Trajectory

from vla_ros.motion import MotionRefused

LIMITS = arm_limits(2)


def moving(seconds: float = 0.5) -> Rig:
    rig = Rig(LIMITS, np.zeros(2))
    t = np.arange(60)[:, None] * 0.05
    rig.accept(0.8 * np.sin(2.0 * t) * np.array([1.0, -0.5]))
    rig.run(seconds)
    return rig


def optimal_stop_s(state: np.ndarray) -> float:
    request = InputParameter(2)
    request.control_interface = ControlInterface.Velocity
    request.current_position, request.current_velocity, request.current_acceleration = (
        state.tolist()
    )
    request.target_velocity = request.target_acceleration = [0.0, 0.0]
    request.max_velocity, request.max_acceleration, request.max_jerk = (
        limit.tolist() for limit in (LIMITS.velocity, LIMITS.acceleration, LIMITS.jerk)
    )
    trajectory = Trajectory(2)
    Ruckig(2).calculate(request, trajectory)
    return trajectory.duration


@rounds
@settings(max_examples=examples(8), deadline=None)
@given(st.floats(0.1, 1.5))
@example(0.7734375)  # found by search: just before it turns round
def test_a_stop_takes_as_long_as_the_limits_allow_and_a_tick(again, after_s) -> None:
    rig = moving(after_s)
    begins = moving(after_s + 0.01)  # the stop begins at the next tick
    assert begins.now_ns == rig.now_ns + 10 * MS
    best = optimal_stop_s(begins.trace.states[-1])
    stopped_ns = rig.now_ns
    rig.motion.stop(rig.now_ns)
    rig.tick()
    assert rig.motion.state == "BRAKING"
    assert rig.motion.reason == "stop"
    rig.run(1.0)
    rig.check()
    at_rest = np.abs(rig.trace.v).max(axis=1) == 0.0
    rest_ns = rig.trace.t_ns[int(np.flatnonzero(~at_rest)[-1]) + 1]
    assert (rest_ns - stopped_ns) * 1e-9 <= 1.05 * best + 0.02
    assert rig.motion.state == "HOLDING"
    assert not rig.motion.finished


def test_after_a_stop_the_position_stays_and_a_new_plan_starts_from_it() -> None:
    rig = moving()
    rig.motion.stop(rig.now_ns)
    rig.run(1.0)
    held = rig.trace.p[-1]
    rig.run(0.5)
    assert np.array_equal(rig.trace.p[-1], held)
    assert rig.accept(np.tile(held + 0.05, (30, 1)))
    rig.run(1.0)
    assert np.allclose(rig.trace.p[-1], held + 0.05, atol=1e-6)
    rig.check()


def test_a_plan_without_successor_comes_to_rest_on_its_last_row_and_says_so() -> None:
    rig = Rig(LIMITS, np.zeros(2))
    rig.accept(np.linspace(0.0, 0.8, 16)[:, None] * np.ones(2))
    rig.run(0.75)
    assert rig.motion.state == "BRAKING"
    assert "without a successor" in rig.motion.reason
    rig.run(0.5)
    assert rig.motion.state == "HOLDING"
    assert rig.motion.finished
    assert "without a successor" in rig.motion.reason
    rig.check()
    assert np.allclose(rig.trace.p[-1], 0.8, atol=1e-9)
    assert (np.diff(rig.trace.p[:, 0]) >= 0.0).all()
    # 1.07 rad/s are taken away in about 0.2 s, half of which is time lost.
    moving = np.flatnonzero(np.abs(rig.trace.v).max(axis=1) > 1e-3)[-1] * 0.01
    assert 0.75 < moving < 0.75 + 0.15


@pytest.mark.parametrize(
    ("speed", "end_s"), [(1.0, 0.5), (1.0, 1.0), (1.0, 1.5), (2.0, 1.0), (2.0, 1.5)]
)
def test_a_plan_that_turns_round_at_its_end_does_not_swing_back(speed, end_s) -> None:
    """At rest but accelerating (0.5 s: in full motion) in its last row."""
    rig = Rig(LIMITS, np.zeros(2))
    t = np.linspace(0.0, end_s / speed, 31)
    rows = 0.25 / speed * (1.0 - np.cos(np.pi * speed * t))[:, None] * np.ones(2)
    rig.accept(rows, dt_ms=1000 * end_s / speed / 30)
    rig.run(end_s / speed + 0.5)
    rig.check()
    assert rig.motion.state == "HOLDING"
    assert np.allclose(rig.trace.p[-1], rows[-1], atol=2e-4)
    beyond = rig.trace.p[:, 0] - rows[:, 0].max()
    assert beyond.max() < 2e-4


def test_a_plan_that_ends_at_rest_ends_at_its_last_row() -> None:
    rig = Rig(LIMITS, np.zeros(2))
    s = np.linspace(0.0, 1.0, 30)
    rows = (10 * s**3 - 15 * s**4 + 6 * s**5)[:, None] * np.array([0.5, -0.3])
    rows = np.concatenate([rows, np.repeat(rows[-1:], 4, axis=0)])
    rig.accept(rows)
    rig.run(2.5)
    rig.check()
    assert np.allclose(rig.trace.p[-1], rows[-1], atol=1e-5)


@rounds
@settings(max_examples=examples(8), deadline=None)
@given(
    st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0)), st.floats(0.05, 1.0), st.floats(0.0, 1.4)
)
def test_go_to_arrives_at_rest_whatever_the_group_was_doing(again, target, speed, after_s) -> None:
    rig = moving(after_s)
    duration_s = rig.motion.go_to(np.array(target), rig.now_ns, speed)
    rig.tick()
    assert rig.motion.state in ("RAMPING", "HOLDING")
    rig.run(duration_s + 0.02)
    rig.check()
    assert np.allclose(rig.trace.p[-1], target, atol=1e-6)
    assert rig.motion.state == "HOLDING"
    assert rig.motion.finished


def test_a_slow_go_to_keeps_the_fraction_of_the_limits() -> None:
    rig = Rig(LIMITS, np.zeros(2))
    rig.motion.go_to(np.array([1.0, -1.0]), 0, 0.2)
    rig.run(4.0)
    assert np.abs(rig.trace.v).max() <= 0.2 * 2.5 * 1.0001
    assert np.allclose(rig.trace.p[:, 0], -rig.trace.p[:, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("target", "speed", "text"),
    [
        ([9.0, 0.0], 1.0, "must be between"),
        ([np.nan, 0.0], 1.0, "finite"),
        ([0.0], 1.0, "shape"),
        ([0.0, 0.0], 0.0, "speed"),
        ([0.0, 0.0], 1.5, "speed"),
    ],
)
def test_go_to_refuses_what_it_cannot_do(target, speed, text) -> None:
    rig = moving()
    with pytest.raises(MotionRefused, match=text):
        rig.motion.go_to(np.array(target), rig.now_ns, speed)
    rig.tick()
    assert rig.motion.state == "TRACKING"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rows": np.full((16, 2), np.nan)}, "Row 0 of the plan holds nan for joint1"),
        ({"rows": np.full((16, 2), 1e9)}, "units"),
        ({"rows": np.zeros((16, 3))}, "shape"),
        ({"rows": np.zeros((0, 2))}, "shape"),
        ({"dt_ms": 0}, "spacing"),
        ({"dt_ms": 1e7}, "spacing"),
        ({"start_ms": -5000}, "in the past"),
        ({"start_ms": 60_000}, "same clock"),
        ({"valid_ms": 1e8}, "same clock"),
    ],
)
def test_a_malformed_or_stale_plan_is_refused_and_the_one_in_force_goes_on(changes, text) -> None:
    rig, alone = moving(), moving()
    offer = {"rows": np.zeros((16, 2)), **changes}
    assert not rig.accept(offer.pop("rows"), **offer)
    assert text in rig.refusals[-1]
    rig.run(0.5)
    alone.run(0.5)
    assert np.array_equal(rig.trace.p, alone.trace.p)


def test_nothing_works_before_reset() -> None:
    from vla_ros.motion import JointMotion

    motion = JointMotion(LIMITS, 10 * MS)
    with pytest.raises(MotionRefused, match="reset"):
        motion.advance(0)


def test_reset_refuses_a_robot_far_outside_its_limits_and_holds_one_that_is_just_outside() -> None:
    rig = Rig(LIMITS, np.zeros(2))
    with pytest.raises(MotionRefused, match=r"joint2 is at 3\.5"):
        rig.motion.reset(np.array([0.0, 3.5]), rig.now_ns)
    rig.motion.reset(np.array([0.0, 3.01]), rig.now_ns)
    assert rig.motion.advance(rig.now_ns).position[1] == 3.01
    assert rig.accept(np.tile([0.0, 2.9], (30, 1)))
    rig.run(1.0)
    assert rig.trace.p[-1][1] == pytest.approx(2.9, abs=1e-6)


def test_a_row_beyond_a_position_limit_is_approached_and_never_passed() -> None:
    rig = Rig(LIMITS, np.zeros(2))
    t = np.arange(60)[:, None] * 0.05
    assert rig.accept(
        np.array([1.0, 0.1]) * (10 * (t / 3) ** 3 - 15 * (t / 3) ** 4 + 6 * (t / 3) ** 5) * 4
    )
    rig.run(9.0)
    rig.check()
    # Never passed; 20 margins beyond, the bend (a tanh) is the limit itself in floating point.
    assert 2.95 < rig.trace.p[-1][0] <= 3.0
    assert any(s.limited[0] & 1 for s in rig.trace.setpoints)


def test_a_clock_that_goes_back_brakes_from_where_the_robot_is() -> None:
    rig = moving()
    before = rig.trace.states[-1]
    setpoint = rig.motion.advance(rig.now_ns - 300 * MS)
    assert np.allclose(setpoint.position, before[0])
    assert np.allclose(setpoint.velocity, before[1])
    rig.now_ns -= 300 * MS
    rig.run(1.0)
    assert rig.motion.state == "HOLDING"
    assert rig.motion.reason == "time went back"


def test_a_pause_longer_than_the_window_finds_the_robot_where_the_window_braked() -> None:
    rig = moving()
    window = rig.window()
    rig.now_ns += 3000 * MS
    setpoint = rig.motion.advance(rig.now_ns)
    assert np.allclose(setpoint.position, window.position[-1], atol=1e-9)
    assert not setpoint.velocity.any()
    assert rig.motion.reason == "ticks were missed"


def test_a_pause_within_the_window_goes_unnoticed() -> None:
    rig, alone = moving(), moving()
    rig.window()
    rig.tick(200 * MS)
    alone.run(0.2)
    assert np.array_equal(rig.trace.p[-1], alone.trace.p[-1])
