"""ROS time that jumps: a latched stop where something moves, nothing where nothing does.

The robot's controller has its own clock here: it is the bridge alone that sees the jump.
"""

from __future__ import annotations

import numpy as np
import pytest
from bench import MS, NEXT_RUN, Bench
from controlled import Controlled
from robots import ARM

AHEAD = 10_000 * MS


def in_motion() -> Controlled:
    bench = Controlled()
    bench.send()
    bench.run(25)
    assert np.abs(bench.velocities[-1]).max() > 0.3
    return bench


def jump(bench: Controlled, by: int) -> None:
    bench.now += by
    bench.apart += by
    bench.commander.clock_jump(bench.now, bench.steady)


def assert_comes_to_rest_without_a_step(bench: Controlled) -> None:
    bench.run(60)
    limit = max(bench.spec.limits[name].acceleration for name in ARM)
    assert np.abs(bench.accelerations).max() < 1.1 * limit
    assert not bench.velocities[-1].any()


@pytest.mark.parametrize("heard_for", [0, 1, 4])
def test_a_clock_that_is_ahead_for_a_while_stops_the_robot_without_a_step(heard_for: int) -> None:
    bench = in_motion()
    before, epoch = bench.now, bench.commander.epoch
    jump(bench, AHEAD)
    bench.run(heard_for)
    jump(bench, -AHEAD)
    assert bench.commander.epoch != epoch
    assert bench.commander.stop_reason == "clock_jump"
    for words in (f"from {before / 1e9:.3f} s", f"to {(before + AHEAD) / 1e9:.3f} s", "/clock"):
        assert words in bench.commander.stop_text
    assert_comes_to_rest_without_a_step(bench)
    at = bench.arm
    assert bench.commander.mode == "STOPPED"
    assert bench.start(NEXT_RUN).reason == "mode"
    assert bench.commander.resume(bench.now) is None
    bench.run(30)
    np.testing.assert_allclose(bench.arm, at, atol=1e-9)
    assert bench.start(NEXT_RUN) is None
    assert bench.send(run_id=NEXT_RUN) is None
    bench.run(5)
    assert bench.commander.mode == "TRACKING"


def test_a_clock_that_goes_ahead_for_good_lets_the_last_window_brake_the_robot() -> None:
    bench = in_motion()
    bench.windows.clear()
    jump(bench, AHEAD)
    assert_comes_to_rest_without_a_step(bench)
    assert bench.windows == [], "a window from the future leads past everything"


def test_a_clock_that_goes_far_back_brakes_on_the_new_time_line() -> None:
    bench = in_motion()
    bench.windows.clear()
    jump(bench, -3_000 * MS)
    assert_comes_to_rest_without_a_step(bench)
    assert bench.windows, "what was sent for later must not be played later"
    assert bench.commander.stop_reason == "clock_jump"


def test_a_clock_that_goes_back_for_a_while_moves_nothing_when_it_is_right_again() -> None:
    bench = in_motion()
    jump(bench, -3_000 * MS)
    assert_comes_to_rest_without_a_step(bench)
    at = bench.arm
    jump(bench, 3_000 * MS)
    bench.run(60)
    np.testing.assert_array_equal(bench.arm, at)
    assert bench.commander.resume(bench.now) is None
    bench.run(30)
    np.testing.assert_allclose(bench.arm, at, atol=1e-9)


@pytest.mark.parametrize("by_ms", [-30, -100, -300])
def test_a_clock_that_goes_back_a_little_makes_no_step(by_ms: int) -> None:
    bench = in_motion()
    jump(bench, by_ms * MS)
    assert bench.commander.stop_reason == "clock_jump"
    assert_comes_to_rest_without_a_step(bench)


@pytest.mark.parametrize("by", [AHEAD, -700 * MS])
def test_a_jump_while_nothing_moves_needs_no_resume(by: int) -> None:
    bench = Bench()
    epoch = bench.commander.epoch
    bench.now += by
    bench.commander.clock_jump(bench.now, bench.steady)
    bench.ticks(5)
    assert bench.commander.epoch == epoch + 1
    assert bench.commander.stop_reason == "none"
    assert bench.commander.mode == "HOLDING"
    assert bench.start() is None
    assert bench.send() is None


def test_a_jump_before_a_run_has_its_first_plan_stops_the_run_with_the_reason() -> None:
    bench = Bench()
    bench.start()
    bench.now += AHEAD
    bench.commander.clock_jump(bench.now, bench.steady)
    assert bench.commander.stop_reason == "clock_jump"
    assert bench.commander.run_id is None


def test_a_tick_at_the_same_time_again_is_no_jump() -> None:
    bench = Bench()
    bench.start()
    epoch = bench.commander.epoch
    bench.commander.tick(bench.now, bench.steady)
    assert bench.commander.epoch == epoch
