"""Who has the robot in turn: runs that begin, end and continue, and ways to named poses."""

from __future__ import annotations

import numpy as np
from bench import NEXT_RUN, RUN, Bench


def test_a_run_that_ends_brakes_and_the_next_one_may_continue_without():
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(25)
    bench.start(NEXT_RUN)
    bench.commander.run_ended(RUN, bench.now)
    bench.tick()
    assert bench.commander.mode in ("TRACKING", "RAMPING")
    assert bench.send().reason == "run"
    assert bench.send(run_id=NEXT_RUN) is None
    epoch = bench.commander.epoch
    bench.ticks(25)
    bench.commander.run_ended(NEXT_RUN, bench.now)
    bench.tick()
    assert bench.commander.mode == "BRAKING"
    assert bench.commander.epoch == epoch
    bench.ticks(40)
    assert bench.commander.mode == "HOLDING"
    assert bench.start(NEXT_RUN).reason == "epoch"


def test_a_run_that_does_not_hold_at_its_end_leaves_the_robot_alone():
    bench = Bench()
    bench.commander.run_started(RUN, bench.commander.epoch, hold_at_end=False)
    bench.send()
    bench.ticks(25)
    bench.commander.run_ended(RUN, bench.now)
    bench.ticks(80)
    assert bench.commander.mode == "IDLE"
    bench.windows.clear()
    bench.blocked = True
    bench.arm = bench.arm + 1.0
    bench.ticks(30)
    assert bench.windows == []
    assert bench.commander.stop_reason == "none"
    assert bench.start(NEXT_RUN) is None
    np.testing.assert_allclose(bench.tick().commanded.action[:2], bench.arm)


def test_a_run_of_another_epoch_is_not_started():
    bench = Bench()
    old = bench.commander.epoch
    bench.commander.clock_jump(bench.now, bench.steady)
    assert bench.commander.run_started(RUN, old).reason == "epoch"
    assert bench.send(epoch=old).reason == "run"


def test_a_named_pose_is_reached_with_the_gripper_and_not_while_a_run_is_current():
    bench = Bench()
    bench.start()
    assert bench.commander.go_to("home", 1.0, bench.now).reason == "mode"
    bench.commander.run_ended(RUN, bench.now)
    assert bench.commander.go_to("nowhere", 1.0, bench.now).reason == "unknown_pose"
    assert bench.commander.go_to("home", 7.0, bench.now).reason == "motion"
    assert bench.commander.go_to("home", 0.5, bench.now) is None
    assert bench.start(NEXT_RUN).reason == "mode"
    bench.ticks(5)
    assert bench.commander.mode == "RAMPING"
    assert bench.commander.owner == "go_to home"
    assert 0.0 < bench.commander.go_to_progress(bench.now) < 1.0
    bench.ticks(120)
    assert bench.commander.go_to_progress(bench.now) is None
    np.testing.assert_allclose(bench.arm, [0.3, -0.3], atol=1e-6)
    assert bench.tick().commanded.action[2] == 1.0
    assert bench.start(NEXT_RUN) is None


def test_a_go_to_can_be_cancelled():
    bench = Bench()
    bench.commander.go_to("home", 0.5, bench.now)
    bench.ticks(10)
    bench.commander.cancel_go_to(bench.now)
    bench.ticks(60)
    assert bench.commander.mode == "HOLDING"
    assert abs(bench.arm[0]) < 0.29
