"""The rolling window, read as a JointTrajectoryController reads it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_rig import MS, Rig, arm_limits, examples, jtc_samples, rounds

LIMITS = arm_limits(3)


def busy(seed: int, seconds: float) -> Rig:
    """A rig in the middle of noisy, disagreeing plans."""
    rng = np.random.default_rng(seed)
    rig = Rig(LIMITS, np.zeros(3), smoothing_noise_rad=0.003)
    w, phase = rng.uniform(0.5, 3.0, 3), rng.uniform(0, 6, 3)
    for now_ms in range(0, int(seconds * 1000), 10):
        if now_ms % 150 == 0:
            t = (now_ms + 50 * np.arange(16))[:, None] * 1e-3
            rows = 0.4 * (np.sin(w * t + phase) - np.sin(phase)) + rng.normal(0, 0.003, (16, 3))
            rig.accept(rows + rng.normal(0, 0.02, 3))
        rig.tick()
    return rig


@rounds
@settings(max_examples=examples(10), deadline=None)
@given(st.integers(0, 500), st.floats(0.02, 1.5), st.integers(0, 9_999_999))
def test_a_window_starts_before_now_reaches_past_the_lookahead_and_ends_at_rest(
    again, seed, seconds, phase_ns
) -> None:
    rig = busy(seed, seconds)
    now_ns = rig.now_ns + phase_ns
    window = rig.motion.window(now_ns, 250 * MS, 20 * MS)
    assert (np.diff(window.t_ns) > 0).all()
    assert (np.diff(window.t_ns) <= 20 * MS).all()
    assert window.t_ns[1] <= now_ns < window.t_ns[2]
    assert window.t_ns[-1] >= now_ns + 250 * MS
    assert not window.velocity[-1].any()
    assert not window.acceleration[-1].any()
    assert np.isfinite(window.position).all()


@rounds
@settings(max_examples=examples(8), deadline=None)
@given(st.integers(0, 500), st.floats(0.1, 1.5), st.sampled_from(["on", "stop", "go_to"]))
def test_what_a_controller_makes_of_a_window_obeys_the_limits(again, seed, seconds, then) -> None:
    rig = busy(seed, seconds)
    if then == "stop":
        rig.motion.stop(rig.now_ns)
    elif then == "go_to":
        rig.motion.go_to(np.array([1.0, -1.0, 0.5]), rig.now_ns, 1.0)
    window = rig.window()
    t_ns = np.arange(window.t_ns[1], window.t_ns[-1], 2 * MS)
    p, v, a = jtc_samples(window, t_ns)
    assert (np.abs(p) <= LIMITS.upper).all()
    assert (np.abs(v) <= LIMITS.velocity).all()
    assert (np.abs(a) <= LIMITS.acceleration).all()
    jerk = np.diff(a, axis=0) / 2e-3
    # Where the jerk switches between two points a quintic overshoots it, for less than a spacing.
    assert (np.abs(jerk) <= 2.0 * LIMITS.jerk).all()
    assert (np.percentile(np.abs(jerk), 90, axis=0) <= 1.05 * LIMITS.jerk).all()


@rounds
@settings(max_examples=examples(8), deadline=None)
@given(st.integers(0, 500), st.floats(0.1, 1.5))
def test_a_controller_on_the_window_commands_the_setpoints(again, seed, seconds) -> None:
    rig = busy(seed, seconds)
    window = rig.window()
    begin_ns = rig.now_ns
    rig.run(0.25)
    trace = [(t, s) for t, s in zip(rig.trace.t_ns, rig.trace.states, strict=True) if t >= begin_ns]
    p, v, a = jtc_samples(window, np.array([t for t, _ in trace]))
    states = np.array([s for _, s in trace])
    assert np.abs(p - states[:, 0]).max() < 1e-4
    assert np.abs(v - states[:, 1]).max() < 1e-2
    assert np.abs(a - states[:, 2]).max() < 1.0


@rounds
@settings(max_examples=examples(8), deadline=None)
@given(st.integers(0, 500), st.floats(0.1, 1.5), st.integers(1, 24))
def test_windows_agree_where_they_overlap(again, seed, seconds, later) -> None:
    rig = busy(seed, seconds)
    first = rig.window()
    rig.run(later * 0.01)
    second = rig.window()
    handed_over = first.t_ns <= rig.now_ns - later * 10 * MS + 250 * MS
    common, i, k = np.intersect1d(first.t_ns[handed_over], second.t_ns, return_indices=True)
    assert len(common) >= 2
    for one, two in (
        (first.position, second.position),
        (first.velocity, second.velocity),
        (first.acceleration, second.acceleration),
    ):
        assert np.array_equal(one[i], two[k])


def test_replacing_a_window_never_steps_whatever_arrives() -> None:
    """The curve of the new window passes the curve of the old one at the time of replacement."""
    rig = busy(11, 0.6)
    old = rig.window()
    for request in (
        lambda: rig.accept(np.tile([0.4, -0.4, 0.2], (16, 1))),
        lambda: rig.motion.stop(rig.now_ns),
        lambda: rig.motion.go_to(np.zeros(3), rig.now_ns, 0.5),
    ):
        request()
        new = rig.window()
        at = np.array([rig.now_ns])
        assert np.abs(jtc_samples(old, at) - jtc_samples(new, at)).max() < 1e-6
        # Late by 20 ms, it steps by no more than the jerk limit makes in that time, plus rounding.
        at = np.array([rig.now_ns + 20 * MS])
        step = np.abs(jtc_samples(old, at) - jtc_samples(new, at)).max(axis=(1, 2))
        assert step[0] <= 2 * 150.0 * 0.02**3 / 6 + 1e-5
        rig.run(0.1)
        old = rig.window()
    rig.check()


def test_at_rest_a_window_holds() -> None:
    rig = Rig(LIMITS, np.full(3, 0.2))
    rig.run(0.1)
    window = rig.window()
    assert (window.position == 0.2).all()
    assert not window.velocity.any()
    assert window.t_ns[-1] == pytest.approx(rig.now_ns + 250 * MS, abs=20 * MS)
