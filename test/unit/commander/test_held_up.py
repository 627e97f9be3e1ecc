"""A bridge that is held up for a while: the controller goes on along the commanded curve."""

from __future__ import annotations

import numpy as np
import pytest
from bench import MS, TICK, Bench
from robots import ARM

from vla_ros.sim.controllers import Measured, TrajectoryController, TrajectoryMessage

UPDATE = 2 * MS


class Controlled(Bench):
    """The bench with a trajectory controller that plays the arm's windows, every 2 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.controller = TrajectoryController(ARM, self.arm)
        self.path: list[np.ndarray] = []
        self.start()

    def play(self, commands) -> None:
        for name, window in commands.windows:
            if name == "arm":
                self.controller.accept(
                    TrajectoryMessage(
                        stamp_ns=int(window.t_ns[0]),
                        joint_names=ARM,
                        time_from_start_ns=window.t_ns - window.t_ns[0],
                        positions=window.position,
                        velocities=window.velocity,
                        accelerations=window.acceleration,
                    ),
                    self.now,
                )

    def sampled(self, duration_ns: int) -> None:
        times = self.now + np.arange(0, duration_ns, UPDATE, dtype=np.int64)
        measured = Measured(position=self.arm, velocity=np.zeros(len(ARM)))
        self.path.extend(np.array(self.controller.sample(times, measured)[1]))

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.play(self.tick())
            self.sampled(TICK)

    def held_up(self, ticks: int) -> None:
        """Time passes, nothing is done."""
        self.sampled(TICK * ticks)
        self.now += TICK * (ticks - 1)
        self.steady += TICK * (ticks - 1)


@pytest.mark.parametrize("told", [True, False])
def test_a_plan_accepted_just_before_a_pause_makes_no_step_where_it_was_handed_over(
    told: bool,
) -> None:
    bench = Controlled()
    bench.send(valid_from_ns=bench.now + 20 * MS)
    bench.run(15)
    bench.play(bench.tick())
    other = bench.plan(valid_from_ns=bench.now + 20 * MS)
    other.actions.setflags(write=True)
    other.actions[:, :2] = other.actions[::-1, :2] * 0.8
    bench.commander.accept(other, bench.now, bench.steady)
    if told:
        bench.play(bench.commander.preview(bench.now))
    bench.held_up(12)
    bench.run(10)
    steps = np.abs(np.diff(np.array(bench.path), axis=0)) / (UPDATE * 1e-9)
    limit = max(bench.spec.limits[name].acceleration for name in ARM)
    assert bool(steps.max() < 1.1 * limit) is told, steps.max()
