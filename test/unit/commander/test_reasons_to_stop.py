"""Emergency stop, lost clock: a controlled stop with its reason, and what it takes to go on."""

from __future__ import annotations

import numpy as np
from bench import MS, NEXT_RUN, Bench
from robots import arm

HEARTBEAT = {"topic": "/estop", "max_age_s": 0.2}


def in_motion(bench: Bench) -> Bench:
    bench.start()
    bench.send()
    bench.ticks(20)
    assert bench.commander.mode == "TRACKING"
    return bench


def assert_brakes(bench: Bench) -> None:
    samples = [c.commanded for c in bench.ticks(60)]
    assert max(np.abs(s.acceleration).max() for s in samples) <= 12.0 + 1e-6
    assert not samples[-1].velocity.any()
    assert bench.commander.mode == "STOPPED"


def test_a_pressed_emergency_stop_is_latched_until_released_and_resumed():
    bench = in_motion(Bench(arm(estop={"topic": "/estop"})))
    epoch = bench.commander.epoch
    bench.commander.estop(True, bench.now, bench.steady)
    assert bench.commander.epoch == epoch + 1
    assert bench.commander.stop_reason == "estop"
    assert_brakes(bench)
    assert "release it" in bench.commander.resume(bench.now).text
    bench.commander.estop(False, bench.now, bench.steady)
    bench.ticks(30)
    assert bench.commander.mode == "STOPPED"
    assert bench.commander.resume(bench.now) is None
    assert bench.commander.mode == "HOLDING"
    assert bench.start(NEXT_RUN) is None


def test_a_press_that_is_released_at_once_still_holds_the_robot():
    bench = in_motion(Bench(arm(estop={"topic": "/estop", "kind": "empty"})))
    bench.commander.estop(True, bench.now, bench.steady)
    bench.commander.estop(False, bench.now, bench.steady)
    assert_brakes(bench)
    assert bench.commander.resume(bench.now) is None


def test_a_press_during_another_stop_keeps_resume_shut():
    bench = Bench(arm(estop={"topic": "/estop"}))
    bench.commander.stop("operator", "first", bench.now)
    bench.commander.estop(True, bench.now, bench.steady)
    bench.ticks(30)
    assert bench.commander.stop_text == "first"
    assert bench.commander.resume(bench.now).reason == "mode"


def test_an_emergency_stop_with_a_heartbeat_stops_the_robot_when_it_falls_silent():
    bench = Bench(arm(estop=HEARTBEAT))
    assert "said nothing yet" in bench.commander.stop_text
    bench.commander.estop(False, bench.now, bench.steady)
    assert bench.commander.resume(bench.now) is None
    bench.start()
    bench.send()
    for _ in range(20):
        bench.tick()
        bench.commander.estop(False, bench.now, bench.steady)
    assert bench.commander.stop_reason == "none"
    bench.ticks(22)
    assert bench.commander.stop_reason == "estop"
    assert "silent" in bench.commander.stop_text
    assert_brakes(bench)


def test_ros_time_that_stands_still_stops_a_robot_in_motion():
    bench = in_motion(Bench())
    bench.commander.watch_clock(bench.steady + 400 * MS)
    assert bench.commander.stop_reason == "none"
    bench.commander.watch_clock(bench.steady + 600 * MS)
    assert bench.commander.stop_reason == "clock"
    assert "/clock" in bench.commander.stop_text
    bench.steady += 600 * MS
    assert_brakes(bench)
    assert bench.commander.resume(bench.now) is None


def test_ros_time_may_stand_still_while_nothing_moves():
    bench = Bench()
    bench.commander.watch_clock(bench.steady + 10_000 * MS)
    assert bench.commander.stop_reason == "none"
