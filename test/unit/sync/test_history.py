from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.sync import History

MS = 1_000_000


def history(**changes: int) -> History[int]:
    settings = {"max_age_ns": 1000 * MS, "max_count": 100, "future_ns": 10 * MS, **changes}
    return History(**settings)


def test_late_samples_are_sorted_in() -> None:
    h = history()
    for stamp in (30, 10, 20):
        assert h.push(stamp * MS, stamp, 40 * MS) == "added"
    assert h.stamps == [10 * MS, 20 * MS, 30 * MS]
    assert h.values == [10, 20, 30]


@pytest.mark.parametrize(
    ("stamp_ms", "reason"), [(20, "duplicate"), (0, "zero"), (-5, "zero"), (51, "future")]
)
def test_a_stamp_that_lies_is_refused_and_counted(stamp_ms: int, reason: str) -> None:
    h = history()
    h.push(20 * MS, 0, 40 * MS)
    assert h.push(stamp_ms * MS, 1, 40 * MS) == reason
    assert h.stamps == [20 * MS]
    assert h.refused == {reason: 1}
    assert h.drops == 1


def test_a_stamp_slightly_ahead_of_now_is_taken() -> None:
    assert history().push(50 * MS, 0, 40 * MS) == "added"


def test_a_sample_older_than_the_history_is_refused() -> None:
    h = history(max_age_ns=100 * MS)
    h.push(500 * MS, 0, 500 * MS)
    assert h.push(399 * MS, 0, 500 * MS) == "old"
    assert h.push(400 * MS, 0, 500 * MS) == "added"


def test_clearing_forgets_the_samples_and_keeps_the_counters() -> None:
    h = history()
    h.push(10 * MS, 0, 10 * MS)
    h.push(10 * MS, 0, 10 * MS)
    h.clear()
    assert h.newest_ns is None
    assert h.drops == 1
    assert h.push(5 * MS, 0, 10 * MS) == "added"


@given(
    stamps=st.lists(st.integers(-5, 300), max_size=150),
    max_count=st.integers(1, 20),
    max_age=st.integers(1, 100),
)
def test_whatever_arrives_the_history_is_sorted_unique_and_bounded(
    stamps: list[int], max_count: int, max_age: int
) -> None:
    h = history(max_age_ns=max_age, max_count=max_count, future_ns=0)
    added = 0
    for stamp in stamps:
        added += h.push(stamp, -stamp, 250) == "added"
        assert len(h.stamps) <= max_count
        assert h.stamps == sorted(set(h.stamps))
        assert h.values == [-s for s in h.stamps]
        if h.stamps:
            assert h.stamps[0] >= h.stamps[-1] - max_age
    assert added + h.drops == len(stamps)
