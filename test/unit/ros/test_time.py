"""Clock jumps, periodic work, rates and domains: what the helpers promise about time and place."""

from __future__ import annotations

import subprocess
import sys
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.node import Node

from vla_ros.ros.awake import PAUSE_NS, AwakeTime
from vla_ros.ros.clock import NodeClock
from vla_ros.ros.jumps import AHEAD_NS, JumpDetector
from vla_ros.ros.pacing import Periodic, SteadyPace

S = 10**9


def test_time_that_goes_backwards_is_a_jump_of_its_size():
    jumps = JumpDetector()
    assert jumps.observe(100 * S, 0) == 0
    assert jumps.observe(100 * S - 1, 1) == -1


def test_time_that_runs_away_from_steady_time_is_a_jump():
    jumps = JumpDetector()
    jumps.observe(100 * S, 0)
    assert jumps.observe(101 * S, S) == 0
    assert jumps.observe(103 * S, 2 * S) == S


def test_the_first_reading_of_simulated_time_is_no_jump():
    jumps = JumpDetector()
    jumps.observe(0, 0)
    assert jumps.observe(500 * S, 10) == 0


@given(st.lists(st.tuples(st.integers(0, PAUSE_NS), st.floats(0, 1)), min_size=1, max_size=30))
def test_time_slower_than_steady_time_never_jumps(steps):
    jumps, now, steady = JumpDetector(), 5 * S, 0
    for step, factor in steps:
        steady += step
        now += int(step * factor)
        assert jumps.observe(now, steady) == 0
    assert jumps.observe(now + AHEAD_NS + 2, steady + 1) == AHEAD_NS + 1


@given(
    pause=st.integers(0, 60 * S),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=10),
    late=st.integers(0, 10**7),
)
def test_what_a_process_hears_of_the_clock_after_its_own_pause_is_no_jump(pause, shares, late):
    jumps, begin = JumpDetector(), 5 * S
    jumps.observe(begin, 0)
    for k, share in enumerate([*sorted(shares), 1.0]):
        assert jumps.observe(begin + int(share * pause), pause + k * late) == 0


def test_what_is_missed_for_longer_than_the_pause_is_a_jump_when_it_comes():
    jumps, now, steady = JumpDetector(), 5 * S, 3 * S
    jumps.observe(now, 0)
    assert jumps.observe(now, steady) == 0
    for _ in range(300):
        now, steady = now + S // 100, steady + S // 100
        assert jumps.observe(now, steady) == 0
    assert jumps.observe(now + S, steady) == S


def test_awake_time_counts_no_pause_and_always_goes_on():
    awake = AwakeTime()
    assert awake.at(7 * S) == 0
    assert awake.at(7 * S + PAUSE_NS) == PAUSE_NS
    assert awake.at(60 * S) == 2 * PAUSE_NS
    assert awake.at(60 * S) == 2 * PAUSE_NS
    assert awake.at(60 * S + 1) == 2 * PAUSE_NS + 1


@given(period=st.integers(1, 50), ticks=st.lists(st.integers(1, 30), max_size=40))
def test_periodic_work_is_done_once_for_every_period_that_a_tick_reaches(period, ticks):
    calls: list[int] = []
    now = 0
    periodic = Periodic(period, lambda: calls.append(now))
    reached: list[int] = []
    for step in ticks:
        now += step
        if not reached or now // period > reached[-1] // period:
            reached.append(now)
        periodic.run(now)
    assert calls == reached


def test_simulated_time_catches_up_a_short_stall_and_gives_up_a_long_one():
    pace = SteadyPace(0, 1000, most_behind_ns=50)
    assert pace.due_ns(40, 1000) == 1040
    assert pace.lost_ns == 0
    assert pace.due_ns(240, 1040) == 1090
    assert pace.lost_ns == 150
    assert pace.due_ns(250, 1090) == 1100
    assert pace.factor(250, 1100) == pytest.approx(0.4)
    assert pace.factor(350, 1200) == pytest.approx(1.0)


def test_two_graphs_on_one_machine_never_share_a_domain():
    pytest.importorskip("pydantic")
    from vla_ros.ros.domain import isolated_domain

    code = (
        "from vla_ros.ros.domain import isolated_domain\n"
        "with isolated_domain() as env: print(env['ROS_DOMAIN_ID'])"
    )
    with isolated_domain() as first, isolated_domain() as second:
        other = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
        numbers = {first["ROS_DOMAIN_ID"], second["ROS_DOMAIN_ID"], other.stdout.strip()}
        assert len(numbers) == 3
        assert first["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_in_lockstep_a_slow_computer_makes_nobody_look_dead():
    clock = NodeClock(cast(Node, None), lockstep=True)
    clock.set_ns(5_000_000_000)
    assert clock.alive_ns() == clock.awake_ns() == clock.now_ns() == 5_000_000_000
