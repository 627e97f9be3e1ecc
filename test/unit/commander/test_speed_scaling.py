"""A robot with a speed slider: its controller's time is slowed, as ros2_control's is."""

from __future__ import annotations

import numpy as np
import pytest
from bench import MS, TICK, Bench
from robots import ARM, arm, mobile

from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.sim.controllers import Measured, TrajectoryController, TrajectoryMessage

SLIDER = {"topic": "/speed_scaling", "kind": "percent", "max_age_s": 0.5}
READ = 2 * MS
WAY = 4 * MS
GOAL = np.array([0.8, 0.6])


class SlowBench(Bench):
    """A commander and a controller read at 500 Hz, whose slider is at ``percent``.

    Messages are ``WAY`` on their way.
    """

    def __init__(self, spec: RobotSpec, *, tells: bool = True) -> None:
        self.percent, self.tells = 100.0, tells
        self.controller = TrajectoryController(ARM, np.zeros(2))
        self.measured = Measured(position=np.zeros(2), velocity=np.zeros(2))
        self.seen: list[np.ndarray] = []
        self.messages = 0
        super().__init__(spec)

    def tick(self, joints: bool = True):
        if self.tells:
            self.commander.speed_scaling(self.percent, self.now, self.steady)
        sent = super().tick(joints)
        windows = [window for name, window in sent.windows if name == "arm"]
        self.messages += len(windows)
        for after in range(0, TICK, READ):
            t_ns = self.now + after
            if windows and after == WAY:
                self.controller.accept(TrajectoryMessage.of(windows.pop(), ARM), t_ns)
            self.controller.speed_scaling = self.percent / 100.0
            position, velocity = self.controller.sample(np.array([t_ns]), self.measured)
            self.measured = Measured(position=position[0], velocity=velocity[0])
            self.seen.append(position[0])
        self.arm = self.seen[-1].copy()
        return sent

    def speeds(self, ticks: int) -> np.ndarray:
        """Of the first joint over the next ticks, at 500 Hz, in [rad/s]."""
        begin = len(self.seen) - 1
        self.ticks(ticks)
        return np.diff(np.array(self.seen[begin:])[:, 0]) / (READ * 1e-9)


def long_way(bench: Bench, rows: int = 61) -> np.ndarray:
    """Three seconds with one speed in the middle. Shape (rows, 2)."""
    u = np.linspace(0.0, 1.0, rows)
    ramp = np.clip(np.minimum(u, 1.0 - u) / 0.2, 0.0, 1.0)
    way = np.cumsum(3 * ramp**2 - 2 * ramp**3)
    return (way / way[-1])[:, None] * GOAL


def sent(bench: SlowBench) -> np.ndarray:
    rows = long_way(bench)
    bench.start()
    assert bench.send(actions=np.hstack([rows, np.ones((len(rows), 1))])) is None
    return rows


def slow_arm(**changes) -> RobotSpec:
    return arm(speed_scaling=SLIDER, max_tracking_error=0.1, **changes)


def test_at_half_speed_the_robot_moves_half_as_fast_along_the_same_way():
    bench = SlowBench(slow_arm())
    sent(bench)
    full = bench.speeds(120)[-100:].mean()
    bench.percent = 50.0
    half = bench.speeds(60)[-100:]
    assert half.mean() == pytest.approx(full / 2, rel=0.02)
    bench.percent = 100.0
    bench.ticks(150)
    assert bench.commander.stop_reason == "none"
    seen = np.array(bench.seen)
    np.testing.assert_allclose(seen[-1], GOAL, atol=1e-3)
    np.testing.assert_allclose(seen[:, 1], seen[:, 0] * 0.75, atol=2e-3)


def test_a_robot_that_does_not_tell_jumps_at_every_message():
    told, untold = SlowBench(slow_arm()), SlowBench(arm(), tells=False)
    jumps = []
    for bench in (told, untold):
        sent(bench)
        bench.ticks(120)
        bench.percent = 30.0
        speeds = bench.speeds(60)
        jumps.append(np.abs(np.diff(speeds)[20:]).max())
    assert jumps[1] > 1.0
    assert jumps[0] < jumps[1] / 5


@pytest.mark.parametrize("percent", [0.0, 10.0, 50.0, 80.0])
def test_the_velocity_steps_stay_small_at_every_place_of_the_slider(percent):
    bench = SlowBench(slow_arm())
    sent(bench)
    bench.ticks(120)
    bench.percent = percent
    speeds = bench.speeds(60)[20:]
    # The first message makes the controller's time jump by what it has not passed meanwhile.
    jump = bench.measured.velocity[0] * (1.0 - percent / 100.0) * WAY / READ
    assert np.abs(np.diff(speeds)).max() <= jump + 0.02
    assert np.abs(np.diff(speeds[-100:])).max() <= 0.02


def test_a_robot_that_stands_still_is_not_sent_further_and_goes_on_from_there():
    bench = SlowBench(slow_arm())
    sent(bench)
    bench.ticks(120)
    bench.percent = 0.0
    bench.ticks(10)
    before, at = bench.messages, bench.seen[-1]
    bench.ticks(60)
    assert bench.messages == before
    np.testing.assert_allclose(bench.seen[-1], at, atol=1e-9)
    bench.percent = 100.0
    bench.ticks(250)
    np.testing.assert_allclose(bench.seen[-1], GOAL, atol=1e-3)


def test_rows_are_counted_as_the_robot_executes_them():
    bench = SlowBench(slow_arm())
    sent(bench)
    bench.percent = 50.0
    samples = [c.commanded for c in bench.ticks(100)][10:]
    rows = np.array([s.chunk_row for s in samples])
    np.testing.assert_allclose(rows[20:] - rows[:-20], 20 * 0.5 * TICK / (50 * MS), atol=1e-6)
    assert {s.time_scale for s in samples} == {0.5}
    stamps = np.array([s.stamp_ns for s in samples])
    assert (np.diff(stamps) == TICK).all()


def test_a_new_plan_starts_where_its_observation_says_though_the_robot_is_slow():
    bench = SlowBench(slow_arm())
    sent(bench)
    bench.percent = 50.0
    bench.ticks(100)
    start_ns, here = bench.now - 60 * MS, bench.seen[-31]
    rows = here + long_way(bench) - long_way(bench)[0]
    assert bench.send(actions=np.hstack([rows, np.ones((61, 1))]), start_ns=start_ns) is None
    sample = bench.ticks(3)[-1].commanded
    # Half of the time since the observation counts.
    passed = (sample.stamp_ns - start_ns) / (50 * MS)
    assert sample.chunk_row == pytest.approx(passed / 2, abs=0.15)


def test_nothing_moves_before_the_slider_has_spoken():
    bench = SlowBench(slow_arm(), tells=False)
    bench.start()
    refusal = bench.send()
    assert refusal is not None
    assert "speed slider" in refusal.text
    refused = bench.commander.go_to("home", 1.0, bench.now)
    assert refused is not None
    bench.tells = True
    bench.tick()
    assert bench.send() is None


def test_a_slider_that_falls_silent_in_motion_stops_the_robot():
    bench = SlowBench(slow_arm())
    sent(bench)
    bench.ticks(20)
    bench.tells = False
    bench.ticks(60)
    assert bench.commander.stop_reason == "stream"
    assert "speed slider" in bench.commander.stop_text
    bench.ticks(60)
    assert bench.commander.mode == "STOPPED"


@pytest.mark.parametrize("value", [-1.0, 100.5, float("nan")])
def test_a_slider_out_of_range_counts_as_silence_and_its_value_is_named(value):
    bench = SlowBench(slow_arm())
    sent(bench)
    bench.ticks(20)
    bench.tells = False
    for _ in range(60):
        bench.commander.speed_scaling(value, bench.now, bench.steady)
        bench.tick()
    assert bench.commander.stop_reason == "stream"
    assert "expected 0 to 100" in bench.commander.stop_text


def test_a_stop_brakes_as_slowly_as_the_robot_is_and_holds():
    bench = SlowBench(slow_arm())
    sent(bench)
    bench.ticks(120)
    bench.percent = 50.0
    bench.ticks(20)
    bench.commander.stop("operator", "enough", bench.now)
    bench.ticks(100)
    assert bench.commander.mode == "STOPPED"
    np.testing.assert_allclose(np.ptp(np.array(bench.seen[-100:]), axis=0), 0.0, atol=1e-6)
    assert bench.commander.resume(bench.now) is None
    sent(bench)
    bench.percent = 100.0
    bench.ticks(330)
    np.testing.assert_allclose(bench.seen[-1], GOAL, atol=1e-3)


def test_a_base_that_rolls_beside_the_arm_is_refused():
    base = mobile().model_dump(exclude_none=True)
    with pytest.raises(ValueError, match="would not stay in step"):
        RobotSpec.model_validate(base | {"speed_scaling": SLIDER})
