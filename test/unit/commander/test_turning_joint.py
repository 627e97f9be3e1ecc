"""A joint that turns without end, whose driver and policy count it from -pi to pi."""

from __future__ import annotations

import numpy as np
import pytest
from bench import MS, Bench
from robots import ARM, arm

from vla_ros.spaces.turns import wrapped

FREE = {"velocity": 2.5, "acceleration": 12.0, "jerk": 150.0}
JOINT2 = {"lower": -3.0, "upper": 3.0, **FREE}
TURNING = np.array([True, False])


class WrappingBench(Bench):
    """The driver reports joint1 between -pi and pi, wherever it has got to."""

    def __init__(self, limits) -> None:
        super().__init__(arm(limits={"joint1": limits, "joint2": JOINT2}), active=False)
        self.arm = np.array([3.0, 0.0])
        self.ticks(20)

    def joints(self) -> None:
        positions = dict(zip(ARM, wrapped(self.arm, TURNING), strict=True))
        positions |= {"finger_joint": self.finger}
        self.commander.joint_state(self.now, positions, self.now, self.steady)


def across(rows: int = 26) -> np.ndarray:
    """From 3.0 rad on to 0.6 rad further, counted from -pi to pi."""
    u = np.linspace(0.0, 1.0, rows)[:, None]
    way = 10 * u**3 - 15 * u**4 + 6 * u**5
    rows = wrapped(np.array([3.0, 0.0]) + way * [0.6, 0.2], TURNING)
    return np.hstack([rows, np.ones((len(rows), 1))])


def test_a_turning_joint_crosses_the_seam_at_pi_without_a_stop():
    bench = WrappingBench(FREE)
    bench.start()
    assert bench.send(actions=across()) is None
    bench.ticks(70)
    # Asks for -2.68 where the joint is at 3.6.
    assert bench.send(actions=np.repeat(across()[-1:], 9, axis=0)) is None
    commands = bench.ticks(60)
    assert bench.commander.stop_reason == "none"
    assert commands[-1].commanded.action[0] == pytest.approx(3.6, abs=0.005)


def test_a_limited_joint_is_refused_a_first_step_of_a_whole_turn():
    bench = WrappingBench({"lower": -3.2, "upper": 3.2, **FREE})
    bench.start()
    refusal = bench.send(actions=across()[-5:], valid_from_ns=bench.now + 10 * MS)
    assert refusal.reason == "first_step"
