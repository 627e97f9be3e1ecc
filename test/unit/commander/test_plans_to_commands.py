"""What the control bridge makes of a plan, and what each output gets of it."""

from __future__ import annotations

import numpy as np
import pytest
from bench import MS, RUN, TICK, Bench
from robots import arm, mobile


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
