from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vla_ros.sync import Match, before, interpolate, nearest

stamps_lists = st.lists(st.integers(0, 60), unique=True, max_size=12).map(sorted)
cases = {"stamps": stamps_lists, "due": st.integers(-5, 65), "tolerance": st.integers(0, 20)}


@given(**cases)
def test_nearest_is_the_closest_sample_there_is(
    stamps: list[int], due: int, tolerance: int
) -> None:
    match = nearest(stamps, due, tolerance)
    allowed = [s for s in stamps if abs(s - due) <= tolerance]
    if not allowed:
        assert match is None
    else:
        assert match is not None
        assert match.stamp_ns == min(allowed, key=lambda s: (abs(s - due), s))
        assert stamps[match.left] == match.stamp_ns


@given(**cases)
def test_before_is_the_newest_sample_that_is_not_later(
    stamps: list[int], due: int, tolerance: int
) -> None:
    match = before(stamps, due, tolerance)
    allowed = [s for s in stamps if due - tolerance <= s <= due]
    assert (None if match is None else match.stamp_ns) == max(allowed, default=None)


@given(**cases)
def test_interpolate_brackets_the_due_time_as_tightly_as_can_be(
    stamps: list[int], due: int, tolerance: int
) -> None:
    match = interpolate(stamps, due, tolerance)
    lefts = [s for s in stamps if due - tolerance <= s <= due]
    rights = [s for s in stamps if due <= s <= due + tolerance]
    if not lefts or not rights:
        assert match is None
    else:
        assert match is not None
        left, right = stamps[match.left], stamps[match.right]
        assert (left, right) == (max(lefts), min(rights))
        assert (
            left + match.fraction * (right - left) == due
            or abs(left + match.fraction * (right - left) - due) < 1e-9
        )
        assert match.stamp_ns == due


def test_interpolate_never_leaves_the_samples() -> None:
    assert interpolate([10, 20], 21, 100) is None
    assert interpolate([10, 20], 9, 100) is None
    assert interpolate([10, 20], 15, 100) == Match(0, 1, 0.5, 15)
