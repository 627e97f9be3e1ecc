"""Motion time, against counting it step by step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vla_ros.motion.slider import HISTORY_NS, Slider

MS = 1_000_000
MOVES = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from([0.0, 0.1, 0.5, 0.75, 1.0])), max_size=12
)


def test_until_it_is_moved_motion_time_is_ros_time():
    slider = Slider()
    slider.slid(1.0, 5 * MS)
    assert [slider.at(t) for t in (0, 5 * MS, 9 * MS)] == [0, 5 * MS, 9 * MS]
    assert slider.behind_ns(9 * MS) == 0


@given(MOVES)
def test_motion_time_is_the_sum_of_the_steps_at_their_speeds(moves):
    slider, now, counted, factor = Slider(), 7 * MS, 7 * MS, 1.0
    told = [(now, counted)]
    for wait_ms, new in moves:
        for _ in range(wait_ms):
            now += MS
            counted += round(factor * MS)
            told.append((now, counted))
        slider.slid(new, now)
        factor = new
        assert slider.at(now) == counted
    for ros_ns, motion_ns in told:
        if ros_ns > now - HISTORY_NS:
            assert slider.at(ros_ns) == motion_ns
    assert slider.at(now + 10 * MS) == counted + round(factor * 10 * MS)
    assert slider.behind_ns(now) == now - counted


@given(MOVES)
def test_after_a_restart_motion_time_begins_anew_at_the_same_speed(moves):
    slider, now = Slider(), 0
    for wait_ms, factor in moves:
        now += wait_ms * MS
        slider.slid(factor, now)
    before = slider.factor
    slider.restart(now)
    assert slider.at(now) == now
    assert slider.factor == before
    assert slider.at(now + 20 * MS) == now + round(before * 20 * MS)
