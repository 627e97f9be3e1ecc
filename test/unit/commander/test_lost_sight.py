"""Joint states fall silent while nobody moves the robot: it lets go, and heals by itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from bench import RUN, Bench


def blind(**settings) -> Bench:
    """A robot that rested when its joint states fell silent."""
    bench = Bench(**settings)
    bench.ticks(30, joints=False)
    return bench


def test_silence_at_rest_stops_nobody_but_nothing_may_begin_or_is_sent() -> None:
    bench = blind()
    report = bench.commander.report(bench.now)
    assert report.state == "IDLE"
    assert report.stop_reason == "none"
    assert not report.reset_required
    assert report.hindrance.startswith("no joint state for 0.2")
    for refusal in (bench.start(), bench.commander.go_to("home", 1.0, bench.now)):
        assert refusal is not None
        assert "not ready (no joint state for" in refusal.text
    bench.windows.clear()
    bench.ticks(10, joints=False)
    assert bench.windows == []


def test_joint_states_that_are_back_heal_it_and_a_run_begins_where_the_robot_was_left() -> None:
    bench = blind()
    epoch = bench.commander.epoch
    bench.arm = np.array([0.5, -0.3])  # by hand, further than any tracking error
    bench.blocked = True
    samples = [c.commanded for c in bench.ticks(30)]
    bench.blocked = False
    assert bench.commander.report(bench.now).hindrance == ""
    assert bench.commander.stop_reason == "none"
    assert bench.commander.epoch == epoch, "it was raised when the robot was lost"
    assert samples[0] is None, "not at the first joint state"
    np.testing.assert_array_equal(samples[-1].action[:2], [0.5, -0.3])
    assert bench.start() is None
    assert bench.send() is None
    bench.ticks(70)
    np.testing.assert_allclose(bench.arm, [0.2, 0.15], atol=0.005)


def test_a_robot_that_comes_back_moving_is_not_taken_before_it_rests() -> None:
    bench = blind()
    bench.blocked = True
    for _ in range(40):
        bench.arm = bench.arm + 0.01
        assert bench.tick().commanded is None
    assert bench.commander.report(bench.now).hindrance
    bench.ticks(20)
    assert bench.commander.report(bench.now).hindrance == ""


def test_a_robot_left_to_its_own_controllers_is_left_to_them_after_the_silence_too() -> None:
    bench = Bench()
    bench.commander.run_started(RUN, bench.commander.epoch, hold_at_end=False)
    bench.commander.run_ended(RUN, bench.now)
    bench.ticks(50)
    bench.ticks(30, joints=False)
    bench.windows.clear()
    bench.ticks(30)
    assert bench.commander.report(bench.now).hindrance == ""
    assert bench.windows == []


@pytest.mark.parametrize(
    "begin", [Bench.start, lambda bench: bench.commander.go_to("home", 1.0, bench.now)]
)
def test_a_robot_with_a_run_or_on_its_way_is_stopped_by_silence(begin: Callable[[Bench], object]):
    bench = Bench()
    assert begin(bench) is None
    bench.ticks(30, joints=False)
    assert bench.commander.stop_reason == "joint_state"
    assert bench.commander.stop_text.endswith("then resume")


def test_a_robot_that_just_came_to_rest_hears_its_last_window_before_it_is_let_go() -> None:
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(20)
    bench.commander.run_ended(RUN, bench.now)
    while not bench.commander.at_rest:
        bench.tick(joints=False)
    rested = bench.now
    while not bench.commander.report(bench.now).hindrance:
        bench.tick(joints=False)
    assert bench.now - rested > bench.spec.rates.lookahead_ns
    assert bench.commander.stop_reason == "none"


def test_a_dry_run_is_blind_as_well() -> None:
    bench = blind(dry_run=True)
    assert bench.commander.report(bench.now).hindrance
