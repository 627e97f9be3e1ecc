"""One arm, two kinds of output: joint1 plays windows, joint2 is streamed position by position.

The bridge's clock jumps while both move, the controller's does not.
"""

from __future__ import annotations

import contextlib

import numpy as np
from bench import MS, TICK, Bench
from controlled import UPDATE
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import ARM, arm

from vla_ros.chunks import Plan
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.sim.controllers import (
    Measured,
    TrajectoryController,
    TrajectoryMessage,
    TrajectoryRefused,
)

OUTPUTS = {"played": "joint_trajectory", "streamed": "forward_position"}
REST_TICKS = 60


def mixed() -> RobotSpec:
    parts = list(zip(OUTPUTS, ARM, strict=True))
    return arm(
        action=[{"name": n, "kind": "position", "names": [j], "output": n} for n, j in parts],
        outputs=[
            {"name": n, "controller": OUTPUTS[n], "topic": f"/{n}", "joints": [j]} for n, j in parts
        ],
        poses={},
    )


class Mixed(Bench):
    """Its first joint plays windows at 500 Hz, its second goes where it is sent at 100 Hz.

    Attributes:
        played: Velocities that the controller commanded, every 2 ms.
        streamed: Positions that were sent, one a tick.
    """

    def __init__(self) -> None:
        self.controller = TrajectoryController(ARM[:1], np.zeros(1))
        self.apart = 0
        self.played: list[float] = []
        self.streamed: list[float] = []
        super().__init__(mixed(), active=False)
        self.blocked = True  # the outputs move it, not what is commanded
        self.run(20)
        self.start()

    def plan(self, **change) -> Plan:
        return super().plan(**({"actions": self.arm + self.rows()} | change))

    @staticmethod
    def rows() -> np.ndarray:
        s = np.linspace(0.0, 1.0, 11)[:, None]
        return (10 * s**3 - 15 * s**4 + 6 * s**5) * np.array([0.2, 0.15])

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            commands = self.tick()
            for _, window in commands.windows:
                played = TrajectoryMessage.of(window, ARM[:1])
                with contextlib.suppress(TrajectoryRefused):  # one of long ago
                    self.controller.accept(played, self.now - self.apart)
            at = dict(commands.values).get("streamed", self.arm[1:])[0]
            self.streamed.append(float(at))
            times = self.now - self.apart + np.arange(0, TICK, UPDATE, dtype=np.int64)
            measured = Measured(position=self.arm[:1], velocity=np.zeros(1))
            positions, velocities = self.controller.sample(times, measured)
            self.played.extend(float(velocity[0]) for velocity in velocities)
            self.arm = np.array([positions[-1][0], at])

    def jump(self, by: int, noticed: int) -> None:
        """The clock jumps after the last tick; the bridge notices that much later."""
        self.now += by
        self.apart += by
        self.commander.clock_jump(self.now + noticed, self.steady + noticed)


def assert_nothing_steps(bench: Mixed) -> None:
    played = np.array(bench.played), UPDATE * 1e-9
    streamed = np.diff(bench.streamed) / (TICK * 1e-9), TICK * 1e-9
    for joint, (speeds, step_s) in zip(ARM, (played, streamed), strict=True):
        limits = bench.spec.limits[joint]
        assert np.abs(speeds).max() <= limits.velocity, joint
        assert np.abs(np.diff(speeds)).max() < 1.1 * limits.acceleration * step_s, joint
    jerk = np.diff(bench.streamed, 3) / (TICK * 1e-9) ** 3
    assert np.abs(jerk).max() < 2.0 * bench.spec.limits[ARM[1]].jerk


@settings(max_examples=25)
@given(
    ticks=st.integers(1, 55),
    ahead_ms=st.integers(500, 20_000),
    heard_for=st.integers(0, 40),
    noticed_ms=st.integers(0, 10),
)
def test_neither_output_steps_when_the_clock_goes_ahead_and_comes_back(
    ticks: int, ahead_ms: int, heard_for: int, noticed_ms: int
) -> None:
    bench = Mixed()
    assert bench.send() is None
    bench.run(ticks)
    bench.jump(ahead_ms * MS, noticed_ms * MS)
    bench.run(heard_for)
    bench.jump(-ahead_ms * MS, noticed_ms * MS)
    bench.run(REST_TICKS)
    assert_nothing_steps(bench)
    assert bench.played[-1] == 0.0
    assert bench.streamed[-1] == bench.streamed[-2]


@settings(max_examples=25)
@given(
    ticks=st.integers(1, 55),
    by_ms=st.one_of(st.integers(-900, -30), st.integers(500, 20_000)),
    noticed_ms=st.integers(0, 10),
)
def test_neither_output_steps_when_the_clock_jumps_for_good(
    ticks: int, by_ms: int, noticed_ms: int
) -> None:
    bench = Mixed()
    assert bench.send() is None
    bench.run(ticks)
    bench.jump(by_ms * MS, noticed_ms * MS)
    bench.run(REST_TICKS)
    assert_nothing_steps(bench)
    at = bench.arm
    assert bench.commander.resume(bench.now) is None
    bench.run(30)
    np.testing.assert_allclose(bench.arm, at, atol=1e-9)
