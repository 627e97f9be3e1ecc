"""Plans 10 % inside all limits pass unchanged and without delay, when smoothing is off.

A plan says what is due at its rows: there the command is within 1e-6. Between rows it says nothing,
so there the bound is that of the best cubic spline through them: 5/384 h^4 times the largest fourth
derivative of the motion that the rows are samples of (Hall and Meyer, 1976, "Optimal error bounds
for cubic spline interpolation"); rows that are held are passed in the middle of their time, which
the control grid need not meet. Rows on the control grid have nothing between them.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from motion_rig import MS, Rig, arm_limits, examples, rounds

LIMITS = arm_limits(3)
SHORT = [Phase.explicit, Phase.reuse, Phase.generate]  # shrinking a motion says nothing


def feasible_motion(seed: int):
    """A sum of sines that leaves rest at 0.4 s and stays 10 % inside the limits."""
    rng = np.random.default_rng(seed)
    w = rng.uniform(1.0, 6.0, (3, 4))
    phase = rng.uniform(0.0, 2 * np.pi, (3, 4))
    size = rng.uniform(0.2, 1.0, (3, 4)) / w**2

    def q(t):
        t = np.asarray(t, dtype=float)[..., None, None]
        start = np.clip(t / 1.5, 0.0, 1.0)[..., 0]
        gate = start**4 * (35 - 84 * start + 70 * start**2 - 20 * start**3)
        return gate * (size * np.sin(w * t + phase)).sum(-1)

    t = np.arange(0.0, 4.0, 1e-3)
    p = q(t)
    v, a, j = (np.diff(p, n, axis=0) / 1e-3**n for n in (1, 2, 3))
    factor = max(
        np.abs(v).max() / 2.5,
        np.abs(a).max() / 12.0,
        np.abs(j).max() / 150.0,
        np.abs(p).max() / 3.0,
    )
    return lambda t: q(np.asarray(t) - 0.4) * (0.9 / factor)


def between_rows(motion, dt_ms: float) -> float:
    """How far the best cubic spline through the rows may be from the motion."""
    h = 4e-3
    bend = np.abs(np.diff(motion(np.arange(0.0, 4.0, h)), 4, axis=0)).max() / h**4
    return 5.0 / 384.0 * (dt_ms * 1e-3) ** 4 * bend


@rounds
@settings(max_examples=examples(5), deadline=None, phases=SHORT)
@given(
    st.integers(0, 10_000),
    st.sampled_from([(20, 50, 200, 100), (20, 50, 100, 60), (10, 80, 250, 200)]),
    st.sampled_from(["linear", "hold"]),
)
def test_feasible_overlapping_plans_pass_unchanged_and_in_time(
    again, seed, chunks, interpolation
) -> None:
    dt_ms, rows, every_ms, latency_ms = chunks
    motion = feasible_motion(seed)
    middle = 0.5 * dt_ms if interpolation == "hold" else 0.0
    rig = Rig(LIMITS, np.zeros(3))
    for now_ms in range(0, 3500, 10):
        if now_ms >= latency_ms and (now_ms - latency_ms) % every_ms == 0:
            t = (now_ms - latency_ms + middle + dt_ms * np.arange(rows)) * 1e-3
            assert rig.accept(
                motion(t), dt_ms=dt_ms, start_ms=-latency_ms, interpolation=interpolation
            )
        rig.tick()
    rig.check()
    assert all(s.stretch == 1.0 for s in rig.trace.setpoints)
    assert not any(s.limited.any() for s in rig.trace.setpoints)
    t = np.array(rig.trace.t_ns) * 1e-9
    error = np.abs(rig.trace.p - motion(t)).max(axis=1)
    assert error.max() < 1e-6 + (between_rows(motion, dt_ms) if dt_ms > 10 else 0.0)
    if interpolation == "linear":
        due = np.array(rig.trace.t_ns) % (dt_ms * MS) == 0
        assert error[due].max() < 1e-6


@rounds
@settings(max_examples=examples(5), deadline=None, phases=SHORT)
@given(st.integers(0, 10_000), st.sampled_from([10, 20, 50, 70]))
def test_one_feasible_plan_passes_each_of_its_rows_when_due(again, seed, dt_ms) -> None:
    motion = feasible_motion(seed)
    rows = motion(np.arange(1.0 * 3500 // dt_ms) * dt_ms * 1e-3)  # it slows down before its end
    rig = Rig(LIMITS, np.zeros(3))
    assert rig.accept(rows, dt_ms=dt_ms, start_ms=10)
    rig.run(2.8)
    rig.check()
    t_ns = np.array(rig.trace.t_ns) - 10 * MS
    due = (t_ns >= 0) & (t_ns % (dt_ms * MS) == 0)
    asked = rows[t_ns[due] // (dt_ms * MS)]
    assert np.count_nonzero(due) > 30
    assert np.abs(rig.trace.p[due] - asked).max() < 1e-6


def test_the_row_in_the_setpoint_is_the_one_that_is_due() -> None:
    rig = Rig(LIMITS, np.zeros(3))
    rig.accept(np.zeros((16, 3)), start_ms=-70)
    rig.tick()
    assert rig.trace.setpoints[-1].row == pytest.approx(80 / 50)
    rig.run(0.1)
    assert rig.trace.setpoints[-1].row == pytest.approx(180 / 50)


def test_a_plan_for_later_leaves_the_plan_in_force_alone_until_then() -> None:
    motion = feasible_motion(3)
    rows = motion(0.4 + np.arange(150) * 0.02)
    alone, both = Rig(LIMITS, np.zeros(3)), Rig(LIMITS, np.zeros(3))
    for rig in (alone, both):
        rig.accept(rows, dt_ms=20)
        rig.run(0.5)
    both.accept(rows + 0.01, dt_ms=20, start_ms=-500, valid_ms=300)
    alone.run(0.6)
    both.run(0.6)
    same = np.abs(alone.trace.p - both.trace.p).max(axis=1) < 1e-12
    assert same[:81].all()
    assert not same[90:].any()
    both.check()
