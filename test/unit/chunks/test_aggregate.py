"""Joining a chunk to the plan in force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.chunks import BlendWeights, Plan, Schedule, blend, new_share, resample, standing
from vla_ros.spaces import VectorSpace

MS = 1_000_000
DT = 50 * MS
SPACE = VectorSpace.of(
    ("arm", "position", ["j"]), ("base", "velocity", ["vx"]), ("gripper", "binary", ["g"])
)


def plan(actions, start_ns=0, dt_ns=DT, **more) -> Plan:
    values = {
        "run_id": bytes(16),
        "epoch": 1,
        "seq": 0,
        "spec_hash": 0,
        "t_obs_ns": start_ns,
        "start_ns": start_ns,
        "dt_ns": dt_ns,
        "valid_from_ns": start_ns,
        "actions": np.asarray(actions, dtype=np.float64),
    }
    return Plan(**(values | more))


def columns(position, velocity, gripper) -> np.ndarray:
    return np.stack([position, velocity, gripper], axis=1).astype(np.float64)


def test_a_plan_tells_when_its_rows_are_due():
    here = plan(np.zeros((4, 3)), start_ns=100 * MS)
    assert here.due_ns(2) == 200 * MS
    assert here.row_at(225 * MS) == 2.5
    assert here.end_ns == 250 * MS
    assert plan(np.zeros((4, 3)), interpolation="hold").end_ns == 200 * MS
    with pytest.raises(ValueError, match="read-only"):
        here.actions[0, 0] = 1.0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"actions": np.zeros(3)}, "shape"),
        ({"actions": np.zeros((0, 3))}, "shape"),
        ({"dt_ns": 0}, "dt_ns"),
        ({"run_id": b"short"}, "16 bytes"),
    ],
)
def test_a_plan_without_shape_time_or_run_does_not_exist(change, text):
    with pytest.raises(ValueError, match=text):
        plan(**({"actions": np.zeros((2, 3))} | change))


def test_reading_a_plan_on_its_own_grid_returns_its_rows():
    rows = columns([0, 1, 2, 3], [1, 1, 2, 2], [0, 0, 1, 1])
    np.testing.assert_allclose(resample(plan(rows), SPACE, 0, DT, 4), rows)


def test_between_rows_positions_are_linear_and_binaries_held():
    rows = columns([0, 1, 2, 3], [0, 0, 0, 0], [0, 1, 0, 1])
    there = resample(plan(rows), SPACE, 20 * MS, DT, 3)
    np.testing.assert_allclose(there[:, 0], [0.4, 1.4, 2.4])
    np.testing.assert_array_equal(there[:, 2], [0, 1, 0])


def test_outside_the_plan_positions_stay_and_velocities_are_zero():
    rows = columns([1, 2], [3, 3], [0, 1])
    there = resample(plan(rows, start_ns=200 * MS), SPACE, 0, DT, 10)
    np.testing.assert_allclose(there[:4, 0], 1.0)
    np.testing.assert_allclose(there[-2:, 0], 2.0)
    np.testing.assert_allclose(there[:4, 1], 0.0)
    np.testing.assert_allclose(there[-2:, 1], 0.0)


@given(
    velocity=st.lists(st.floats(-1, 1), min_size=1, max_size=8),
    shift_ms=st.integers(0, 400),
    dt_ms=st.integers(10, 90),
)
def test_resampling_velocities_keeps_the_displacement(velocity, shift_ms, dt_ms):
    zero = np.zeros(len(velocity))
    old = plan(columns(zero, velocity, zero), start_ns=shift_ms * MS)
    rows = 1 + (shift_ms + len(velocity) * 50) // dt_ms
    there = resample(old, SPACE, 0, dt_ms * MS, rows)
    assert there[:, 1].sum() * dt_ms == pytest.approx(sum(velocity) * 50, abs=1e-6)


def test_a_plan_that_runs_late_is_read_late():
    rows = columns([0, 1, 2, 3], [0, 0, 0, 0], [0, 0, 1, 1])
    there = resample(plan(rows), SPACE, 0, DT, 4, delay_ns=DT)
    np.testing.assert_allclose(there[:, 0], [0, 0, 1, 2])
    np.testing.assert_array_equal(there[:, 2], [0, 0, 0, 1])


def test_the_linear_share_grows_from_the_takeover_on():
    due, ones = np.arange(6, dtype=np.int64) * DT, np.ones(6)
    share = new_share(BlendWeights(ramp_ns=4 * DT), due, DT, 5 * DT, ones, ones)
    np.testing.assert_allclose(share, [0, 0, 0.25, 0.5, 0.75, 1])
    share = new_share(BlendWeights(ramp_ns=2 * DT), due, DT, 5 * DT, ones, ones)
    np.testing.assert_allclose(share, [0, 0, 0.5, 1, 1, 1])


@pytest.mark.parametrize("left", [-1.0, 0.0, 0.2, 1.5, 3.9])
def test_a_plan_that_ends_before_the_ramp_would_is_not_blended(left):
    """A short ramp among the rows would be a motion too fast to follow; a seam is faded."""
    due, from_ns = np.arange(8, dtype=np.int64) * DT, 2 * DT
    share = new_share(BlendWeights(), due, from_ns, from_ns + round(left * DT), *np.ones((2, 8)))
    assert (share == 1.0).all()
    share = new_share(BlendWeights(), due, from_ns, from_ns + 4 * DT, *np.ones((2, 8)))
    np.testing.assert_allclose(share[:7], [0, 0, 0, 0.25, 0.5, 0.75, 1])


def joined(values, weights, *, every_rows=0, rows=4) -> tuple[Plan, np.ndarray]:
    """Chunks of one value each, the next one ``every_rows`` later, each joined to those before."""
    current = counts = None
    for k, value in enumerate(values):
        chunk, start_ns = columns([value] * rows, [0] * rows, [0] * rows), k * every_rows * DT
        if current is None:
            counts = standing(weights, rows, DT, "linear")
        else:
            chunk, counts = blend(
                chunk,
                start_ns,
                DT,
                current,
                counts,
                space=SPACE,
                weights=weights,
                from_ns=start_ns,
            )
        current = plan(chunk, start_ns=start_ns)
    return current, counts


def test_ensemble_weighs_every_chunk_that_met_at_a_row_as_the_paper_does():
    """Three chunks, merged one by one, equal the exponentially weighted mean of all three."""
    values = [1.0, 5.0, 2.0]
    current, _ = joined(values, BlendWeights(kind="ensemble", m=0.3))
    expected = np.average(values, weights=np.exp(-0.3 * np.arange(3)))
    np.testing.assert_allclose(current.actions[:3, 0], expected)


@pytest.mark.parametrize("m", [0.0, 0.01, 0.3, -0.1])
def test_the_paper_s_weights_hold_wherever_no_contributor_is_about_to_end(m):
    values, ramp_rows = [1.0, 5.0, 2.0, -3.0], 4
    weights = BlendWeights(kind="ensemble", m=m, ramp_ns=ramp_rows * DT)
    current, _ = joined(values, weights, every_rows=3, rows=20)
    # The last chunk begins at row 9 of the first, whose fading begins 4 rows before its row 19.
    whole = np.average(values, weights=np.exp(-m * np.arange(4)))
    np.testing.assert_allclose(current.actions[: 19 - 9 - ramp_rows + 1, 0], whole)
    assert abs(current.actions[19 - 9 - ramp_rows + 2, 0] - whole) > 1e-3


@pytest.mark.parametrize("kind", ["linear", "ensemble", "average"])
def test_where_an_old_plan_ends_inside_the_new_chunk_the_average_does_not_step(kind):
    weights = BlendWeights(kind=kind, ramp_ns=10 * DT, m=0.01)
    for values in ([0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]):
        current, _ = joined(values, weights, every_rows=8, rows=50)
        steps = np.abs(np.diff(current.actions[:, 0]))
        # A fade over 10 rows moves 0.15 of the way at its steepest, a sudden end at least half.
        assert steps.max() <= 0.151
        assert current.actions[-1, 0] == values[-1]


def test_rows_after_the_old_plan_are_the_new_ones_alone():
    old = plan(columns([0] * 4, [0] * 4, [0] * 4))
    weights = BlendWeights(kind="ensemble", m=0.0, ramp_ns=0)
    rows, counts = blend(
        columns([1] * 6, [0] * 6, [0] * 6),
        DT,
        DT,
        old,
        np.ones(4),
        space=SPACE,
        weights=weights,
        from_ns=DT,
    )
    np.testing.assert_allclose(rows[2:, 0], 1.0)
    np.testing.assert_allclose(rows[:2, 0], 0.5)
    np.testing.assert_array_equal(counts, [2, 2, 1, 1, 1, 0])


@given(
    old=st.lists(st.floats(-3, 3), min_size=4, max_size=4),
    new=st.lists(st.floats(-3, 3), min_size=4, max_size=4),
    kind=st.sampled_from(["linear", "ensemble", "average"]),
)
def test_a_blend_lies_between_its_chunks_and_the_gripper_is_the_newest(old, new, kind):
    grip_new = np.array([0, 1, 0, 1])
    rows, _ = blend(
        columns(new, [0] * 4, grip_new),
        0,
        DT,
        plan(columns(old, [0] * 4, 1 - grip_new)),
        np.ones(4),
        space=SPACE,
        weights=BlendWeights(kind=kind),
        from_ns=0,
    )
    low, high = np.minimum(old, new), np.maximum(old, new)
    assert ((rows[:, 0] >= low - 1e-9) & (rows[:, 0] <= high + 1e-9)).all()
    np.testing.assert_array_equal(rows[:, 2], grip_new)


def test_sync_infers_at_the_end_of_the_plan_and_continues_there():
    schedule = Schedule(joining="sync", execute_ns=500 * MS, period_ns=10 * MS)
    here = plan(np.zeros((11, 3)))
    assert not schedule.due(499 * MS, here, 0, 0)
    assert schedule.due(500 * MS, here, 0, 0)
    assert not schedule.due(500 * MS, here, 30 * MS, 0)
    assert schedule.valid_from_ns(560 * MS, here, 0) == 500 * MS
    assert schedule.valid_from_ns(60 * MS, None, 0) == 70 * MS
    assert not schedule.late(500 * MS, here, 0)
    assert schedule.executed_rows(40, 0, DT, 60 * MS) == 13


def test_blend_infers_in_its_rhythm_and_takes_over_one_period_after_publication():
    schedule = Schedule(joining="blend", execute_ns=200 * MS, period_ns=10 * MS)
    here = plan(np.zeros((11, 3)))
    assert schedule.due(0, None, 0, None)
    assert not schedule.due(199 * MS, here, 0, 0)
    assert schedule.due(200 * MS, here, 0, 0)
    assert schedule.valid_from_ns(260 * MS, here, 0) == 270 * MS
    assert not schedule.late(270 * MS, here, 0)
    assert schedule.late(510 * MS, here, 0)
    assert not schedule.late(510 * MS, here, 20 * MS)
    assert schedule.executed_rows(11, 0, DT, 60 * MS) == 11
