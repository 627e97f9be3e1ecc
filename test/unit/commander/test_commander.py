"""What the control bridge decides: gates, stops, watchdogs, outputs."""

from __future__ import annotations

import numpy as np
import pytest
from bench import MS, NEXT_RUN, RUN, TICK, Bench
from robots import arm, mobile


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


def test_a_plan_is_followed_and_attributed_row_by_row():
    bench = Bench()
    bench.start()
    assert bench.send() is None
    samples = [c.commanded for c in bench.ticks(30)]
    on_plan = [s for s in samples if s.run_id == RUN]
    assert len(on_plan) == 30
    for sample in on_plan[3:]:
        assert sample.chunk_seq == 1
        assert sample.chunk_row == pytest.approx((sample.stamp_ns - 1_200 * MS) / (50 * MS))
        assert sample.mode in ("TRACKING", "RAMPING")
        assert sample.time_scale == 1.0
    bench.ticks(40)
    assert bench.commander.mode == "HOLDING"
    np.testing.assert_allclose(bench.arm, [0.2, 0.15], atol=0.005)


def test_time_scale_is_a_speed_at_most_one_and_counts_the_rows():
    bench = Bench(arm(max_first_step=4.0))
    bench.start()
    fast = np.hstack([np.linspace(0.0, 2.4, 11)[:, None] * [1.0, 0.5], np.ones((11, 1))])
    assert bench.send(actions=fast) is None
    samples = [c.commanded for c in bench.ticks(60)]
    scales = np.array([s.time_scale for s in samples])
    assert (scales > 0.0).all()
    assert (scales <= 1.0).all()
    assert scales.min() < 0.9
    slow = int(np.argmin(scales))
    rows = samples[slow].chunk_row - samples[slow - 1].chunk_row
    assert rows == pytest.approx(scales[slow - 1 : slow + 1].mean() * TICK / (50 * MS), rel=0.2)


def test_windows_come_every_window_period_and_rest_on_the_commanded_curve():
    bench = Bench()
    bench.windows.clear()
    bench.start()
    bench.send()
    curve = {}
    for commands in bench.ticks(40):
        curve[commands.commanded.stamp_ns] = commands.commanded.action[:2]
        for name, window in commands.windows:
            if name != "arm":
                continue
            assert (window.t_ns[:2] <= bench.now).all()
            assert window.t_ns[-1] > bench.now
            assert not window.velocity[-1].any()
            for t_ns, position in zip(window.t_ns, window.position, strict=True):
                if t_ns in curve:
                    np.testing.assert_allclose(position, curve[t_ns], atol=1e-9)
    sent = [name for name, _ in bench.windows]
    assert 13 <= sent.count("arm") <= 16


def test_the_gripper_is_sent_on_change_and_again_after_a_resume():
    bench = Bench()
    assert "gripper" not in [name for name, _ in bench.windows]
    bench.start()
    bench.send()
    samples = bench.ticks(70)
    sent = [window for name, window in bench.windows if name == "gripper"]
    assert [float(window.position[0, 0]) for window in sent] == [0.04, 0.0]
    assert all(len(window.t_ns) == 1 for window in sent)
    assert {float(c.commanded.action[2]) for c in samples} == {0.0, 1.0}
    bench.commander.stop("operator", "stop", bench.now)
    bench.ticks(60)
    assert len([name for name, _ in bench.windows if name == "gripper"]) == 2
    assert bench.commander.resume(bench.now) is None
    bench.tick()
    last = [window for name, window in bench.windows if name == "gripper"]
    assert len(last) == 3
    assert last[-1].position[0, 0] == 0.0


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


def test_a_first_step_that_is_too_large_is_refused():
    bench = Bench()
    bench.start()
    degrees = np.full((11, 3), 20.0)
    refusal = bench.send(actions=degrees)
    assert refusal.reason == "first_step"
    assert "max_first_step" in refusal.text
    assert bench.send(actions=np.full((11, 3), np.nan)).reason == "not_finite"
    bench.ticks(5)
    np.testing.assert_allclose(bench.arm, 0.0)
    assert bench.commander.report(bench.now).chunks_refused == 2


def test_a_refused_chunk_does_not_use_up_its_number():
    bench = Bench()
    bench.start()
    assert bench.send(seq=1000, actions=np.full((11, 3), 20.0)).reason == "first_step"
    assert bench.send(seq=3) is None


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
    assert bench.commander.stop_reason == "joint_state"
    assert "lacks finger_joint" in bench.commander.stop_text


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


def test_an_arm_with_latency_is_commanded_early():
    def windows(latency_s: float) -> list:
        outputs = arm().model_dump()["outputs"]
        outputs[0]["latency_s"] = latency_s
        bench = Bench(arm(outputs=outputs))
        bench.start()
        bench.send()
        return [c.commanded.action[0] for c in bench.ticks(60)]

    prompt, early = windows(0.0), windows(0.05)
    np.testing.assert_allclose(early[25:40], prompt[30:45], atol=0.01)


def test_held_rows_count_from_their_stamps():
    bench = Bench()
    bench.start()
    assert bench.send(interpolation="hold") is None
    samples = [c.commanded for c in bench.ticks(20)]
    for sample in samples[3:]:
        assert sample.chunk_row == pytest.approx((sample.stamp_ns - 1_200 * MS) / (50 * MS))


def test_a_base_drives_what_its_rows_say_and_stops_with_the_run():
    bench = Bench(mobile())
    bench.arm = np.zeros(0)
    bench.start()
    rows = np.tile([0.5, -0.2], (21, 1))
    assert bench.send(actions=rows) is None
    twists = [dict(c.values)["base"] for c in bench.ticks(60)]
    assert max(t[0] for t in twists) == pytest.approx(0.5, abs=0.05)
    assert min(t[1] for t in twists) == pytest.approx(-0.2, abs=0.05)
    steps = np.abs(np.diff([t[0] for t in twists]))
    assert steps.max() <= 2.0 * 0.01 + 1e-9
    assert bench.commander.mode == "TRACKING"
    bench.commander.stop("operator", "stop", bench.now)
    twists = [dict(c.values)["base"] for c in bench.ticks(60) if c.values]
    assert not twists[-1].any()
    assert bench.commander.mode == "STOPPED"


def test_a_forward_controller_is_streamed_the_limited_position_each_period():
    outputs = arm().model_dump()["outputs"]
    outputs[0]["controller"] = "forward_position"
    bench = Bench(arm(outputs=outputs))
    bench.start()
    bench.send()
    for commands in bench.ticks(60):
        ((name, position),) = commands.values
        assert name == "arm"
        np.testing.assert_array_equal(position, commands.commanded.action[:2])
    assert "arm" not in [name for name, _ in bench.windows]
    np.testing.assert_allclose(bench.arm, [0.2, 0.15], atol=0.005)
    bench.commander.take_over("teleop", 10_000 * MS, bench.now, bench.steady)
    assert bench.ticks(60)[-1].values == ()


def test_controllers_hear_of_a_plan_at_once_and_only_once() -> None:
    bench = Bench()
    bench.start()
    assert bench.send(valid_from_ns=bench.now + 20 * MS) is None
    ((name, window),) = bench.commander.preview(bench.now).windows
    assert name == "arm"
    assert window.t_ns[1] <= bench.now
    assert np.abs(window.position - window.position[0]).max() > 0.0
    assert not bench.commander.preview(bench.now).windows


def test_controllers_do_not_hear_of_a_plan_that_is_refused_or_in_a_dry_run() -> None:
    bench = Bench()
    bench.start()
    assert bench.send(actions=np.full((11, 3), np.nan)) is not None
    assert not bench.commander.preview(bench.now).windows
    dry = Bench(dry_run=True)
    dry.start()
    assert dry.send() is None
    assert not dry.commander.preview(dry.now).windows
