"""Whether the control bridge moves the robot: gates, stops, watchdogs, reports."""

from __future__ import annotations

import numpy as np
import pytest
from bench import MS, NEXT_RUN, RUN, Bench
from robots import arm


def test_nothing_is_commanded_before_the_first_joint_state():
    bench = Bench(active=False)
    for commands in bench.ticks(5, joints=False):
        assert commands.windows == ()
        assert commands.commanded is None
    assert bench.commander.mode == "IDLE"
    bench.start()
    assert bench.send().reason == "no_state"
    bench.tick()
    assert bench.commander.mode == "HOLDING"


def test_a_stop_brakes_within_the_limits_and_holds_until_resume():
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(25)
    epoch = bench.commander.epoch
    grip = bench.tick().commanded.action[2]
    bench.commander.stop("operator", "somebody pressed stop", bench.now)
    assert bench.commander.epoch == epoch + 1
    samples = [bench.tick().commanded]
    assert bench.commander.mode == "BRAKING"
    samples += [c.commanded for c in bench.ticks(60)]
    speed = np.array([np.abs(s.velocity).max() for s in samples])
    peak = int(np.argmax(speed))
    assert peak <= 6
    assert (np.diff(speed[peak:]) <= 1e-9).all()
    assert max(np.abs(s.acceleration).max() for s in samples) <= 12.0 + 1e-6
    assert speed[-1] == 0.0
    assert all(s.action[2] == grip and s.run_id == bytes(16) for s in samples)
    assert bench.commander.mode == "STOPPED"
    report = bench.commander.report(bench.now)
    assert report.reset_required
    assert report.stop_reason == "operator"
    assert bench.send().reason == "mode"
    assert bench.start(NEXT_RUN).reason == "mode"
    assert bench.commander.resume(bench.now) is None
    assert bench.commander.mode == "HOLDING"
    assert bench.send(epoch=epoch).reason == "run"


def test_the_first_reason_of_a_stop_stays():
    bench = Bench()
    bench.commander.stop("operator", "first", bench.now)
    bench.commander.stop("tracking_error", "second", bench.now)
    assert bench.commander.stop_text == "first"


def test_resume_waits_until_the_robot_rests_and_starts_where_it_is():
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(25)
    bench.commander.stop("operator", "stop", bench.now)
    assert bench.commander.resume(bench.now).reason == "not_settled"
    bench.ticks(60)
    bench.blocked = True
    bench.arm = bench.arm + 0.4
    bench.ticks(3)
    assert bench.commander.resume(bench.now).reason == "not_settled"
    bench.ticks(30)
    assert bench.commander.resume(bench.now) is None
    np.testing.assert_allclose(bench.tick().commanded.action[:2], bench.arm)


def test_a_robot_that_is_not_enabled_does_not_move_and_says_why():
    bench = Bench(start_enabled=False)
    assert bench.windows == []
    assert bench.start().reason == "mode"
    assert "call enable" in bench.send().text
    assert bench.commander.go_to("home", 1.0, bench.now).reason == "mode"
    epoch = bench.commander.epoch
    assert bench.commander.enable(True, bench.now) is None
    assert bench.commander.epoch == epoch + 1
    bench.start()
    assert bench.send() is None
    bench.ticks(20)
    assert bench.commander.enable(False, bench.now) is None
    bench.tick()
    assert bench.commander.mode == "BRAKING"
    bench.ticks(80)
    assert bench.commander.mode == "IDLE"
    bench.windows.clear()
    bench.ticks(10)
    assert bench.windows == []


def test_a_dry_run_computes_everything_and_sends_nothing():
    bench = Bench(dry_run=True)
    bench.start()
    bench.blocked = True
    assert bench.send() is None
    samples = [c.commanded for c in bench.ticks(60)]
    assert bench.windows == []
    assert {s.mode for s in samples} == {"DRY_RUN"}
    np.testing.assert_allclose(samples[-1].action[:2], [0.2, 0.15], atol=0.005)
    assert bench.commander.stop_reason == "none"


def test_silent_joint_states_stop_the_robot_on_steady_time():
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(20)
    bench.ticks(24, joints=False)
    assert bench.commander.stop_reason == "none"
    bench.ticks(3, joints=False)
    assert bench.commander.stop_reason == "joint_state"
    assert bench.commander.resume(bench.now).reason == "no_state"


def test_a_joint_state_that_lacks_a_joint_counts_as_silence_and_is_named():
    bench = Bench()
    for _ in range(30):
        bench.tick(joints=False)
        refusal = bench.commander.joint_state(
            bench.now, {"joint2": 0.0, "joint1": 0.0}, bench.now, bench.steady
        )
        assert "lacks finger_joint" in refusal.text
    assert "lacks finger_joint" in bench.commander.report(bench.now).hindrance


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_joint_state_that_is_not_finite_is_not_taken(value):
    bench = Bench()
    positions = {"joint1": value, "joint2": 0.0, "finger_joint": 0.0}
    later = bench.now + MS
    assert bench.commander.joint_state(later, positions, later, bench.steady) is not None


def test_plans_that_cease_stop_the_robot_once_the_last_one_is_old():
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(145)
    assert bench.commander.stop_reason == "none"
    bench.ticks(10)
    assert bench.commander.stop_reason == "plan_stale"
    assert "check the policy" in bench.commander.stop_text


def test_a_policy_that_says_nothing_but_nan_ends_in_a_stop_that_says_so():
    bench = Bench()
    bench.start()
    bench.send()
    for _ in range(16):
        bench.ticks(10)
        assert bench.send(actions=np.full((11, 3), np.nan)) is not None
    assert bench.commander.stop_reason == "plan_stale"
    assert "finite numbers" in bench.commander.stop_text


def test_a_plan_beyond_every_limit_stops_the_robot_inside_them():
    bench = Bench(arm(max_first_step=4.0))
    bench.start()
    wild = np.where(np.arange(11) % 2, 2.9, -2.9)[:, None] * np.ones(3)
    refusal = bench.send(actions=np.hstack([wild[:, :2], np.ones((11, 1))]), dt_ns=20 * MS)
    assert refusal.reason == "motion"
    samples = [c.commanded for c in bench.ticks(60)]
    assert bench.commander.stop_reason == "motion"
    assert max(np.abs(s.velocity).max() for s in samples) <= 2.5
    assert bench.commander.mode == "STOPPED"


def test_a_robot_that_is_not_where_it_was_sent_is_stopped():
    bench = Bench()
    bench.start()
    bench.send()
    bench.blocked = True
    bench.ticks(60)
    assert bench.commander.stop_reason == "tracking_error"
    assert "joint1" in bench.commander.stop_text


def test_a_gripper_that_cannot_close_on_an_object_is_no_tracking_error():
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(70)
    assert bench.finger == 0.04
    assert bench.commander.stop_reason == "none"


def test_a_bridge_that_did_not_run_for_longer_than_its_window_stops():
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(25)
    bench.now += 300 * MS
    commands = bench.tick()
    assert bench.commander.stop_reason == "deadline"
    assert commands.windows == ()
    bench.blocked = True
    bench.ticks(40)
    assert bench.commander.resume(bench.now) is None
    np.testing.assert_allclose(bench.tick().commanded.action[:2], bench.arm)


def test_ticks_that_come_late_are_counted():
    bench = Bench()
    bench.now += 20 * MS
    bench.tick()
    assert bench.commander.report(bench.now).deadline_misses == 1


@pytest.mark.parametrize("jump_ms", [-900, 5_000])
def test_a_clock_jump_drops_the_run_and_never_fast_forwards(jump_ms):
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(25)
    epoch = bench.commander.epoch
    heard = [window for name, window in bench.windows if name == "arm"][-1].position
    low, high = heard.min(axis=0) - 1e-3, heard.max(axis=0) + 1e-3
    bench.now += jump_ms * MS
    bench.commander.clock_jump(bench.now, bench.steady)
    assert bench.commander.epoch == epoch + 1
    assert bench.commander.run_id is None
    samples = [c.commanded for c in bench.ticks(40)]
    for sample in samples:
        assert ((sample.action[:2] >= low) & (sample.action[:2] <= high)).all()
    assert not samples[-1].velocity.any()
    assert bench.commander.mode == "STOPPED"
    assert bench.commander.stop_reason == "clock_jump"


def test_time_that_goes_back_without_a_word_is_a_clock_jump():
    bench = Bench()
    bench.start()
    epoch = bench.commander.epoch
    bench.now -= 100 * MS
    bench.tick()
    assert bench.commander.epoch == epoch + 1
    assert bench.commander.run_id is None


def test_status_changes_are_told_once():
    bench = Bench()
    assert not any(c.status_changed for c in bench.ticks(5))
    bench.start()
    assert bench.tick().status_changed
    assert not bench.tick().status_changed
    bench.commander.stop("operator", "stop", bench.now)
    assert bench.tick().status_changed


def test_the_report_has_every_output():
    bench = Bench()
    bench.start()
    bench.send()
    bench.tick()
    report = bench.commander.report(bench.now)
    assert [output.name for output in report.outputs] == ["arm", "gripper"]
    assert report.outputs[0].active
    assert report.outputs[0].last_sent_ns == bench.now
    assert report.owner == f"run {RUN.hex()[:8]}"
    assert 0.3 < report.buffer_left_s <= 0.5
    assert report.chunks_accepted == 1
