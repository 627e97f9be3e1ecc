"""A bridge that is held up for a while: the controller goes on along the commanded curve."""

from __future__ import annotations

import numpy as np
import pytest
from bench import MS
from controlled import Controlled
from robots import ARM


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
    largest = np.abs(bench.accelerations).max()
    limit = max(bench.spec.limits[name].acceleration for name in ARM)
    assert bool(largest < 1.1 * limit) is told, largest
