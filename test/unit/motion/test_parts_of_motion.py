"""The parts of the pipeline against what they claim: smoothing, curve, bend, seam, guard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_rig import arm_limits, examples

from vla_ros.motion.curve import Curve, bend_inside
from vla_ros.motion.guard import stop_extent, stoppable, violation
from vla_ros.motion.limits import MotionLimits, MotionRefused
from vla_ros.motion.ruckig_moves import Mover
from vla_ros.motion.scaling import Pace, demand
from vla_ros.motion.seam import fade
from vla_ros.motion.smoothing import MAX_DEVIATION, smooth

LIMITS = arm_limits(1)
JERK = np.array([150.0])
unit = st.floats(-1.0, 1.0)


def test_smoothing_is_off_without_noise_and_leaves_parabolas_alone() -> None:
    t = np.arange(16.0)[:, None] * 0.05
    parabola = 0.3 + 0.5 * t - 0.7 * t**2
    noisy = parabola + np.random.default_rng(0).normal(0.0, 0.01, t.shape)
    assert smooth(noisy, 0.05, 0.0, JERK) is noisy
    assert np.abs(smooth(parabola, 0.05, 0.003, JERK) - parabola).max() < 1e-12


@pytest.mark.parametrize(("noise", "acceleration"), [(0.002, 8.0), (0.005, 10.0)])
def test_smoothing_takes_the_noise_out_of_the_acceleration(noise, acceleration) -> None:
    """Of a sine of 4.9 rad/s^2; an interpolating cubic has up to 96 and 200 rad/s^2."""
    t = np.arange(100)[:, None] * 0.02
    clean = 0.5 * np.sin(np.pi * t)
    rows = clean + np.random.default_rng(3).normal(0.0, noise, t.shape)
    row = np.linspace(0.0, 99.0, 1000)
    assert np.abs(Curve.through(rows, 0.02).sample(row)[2]).max() > 40.0
    smoothed = smooth(rows, 0.02, noise, JERK)
    assert np.abs(Curve.through(smoothed, 0.02).sample(row)[2]).max() < acceleration
    assert np.sqrt(np.square(smoothed - clean).mean()) < 0.5 * noise


@given(st.integers(0, 1000), st.integers(4, 60), st.sampled_from([0.001, 0.01]))
@settings(max_examples=examples(40), deadline=None)
def test_smoothing_never_moves_a_row_further_than_it_says(seed, count, noise) -> None:
    rows = np.cumsum(np.random.default_rng(seed).normal(0.0, 0.05, (count, 3)), axis=0)
    smoothed = smooth(rows, 0.05, noise, np.full(3, 150.0))
    assert np.abs(smoothed - rows).max() <= MAX_DEVIATION * noise + 1e-12


@pytest.mark.parametrize("count", [1, 2, 3, 4, 16, 50])
def test_the_curve_passes_its_rows_and_is_smooth_in_between(count) -> None:
    rows = np.random.default_rng(count).normal(0.0, 1.0, (count, 2))
    curve = Curve.through(rows, 0.05)
    assert np.abs(curve.sample(np.arange(float(count)))[0] - rows).max() < 1e-12
    knots = np.arange(1.0, count - 1.0)
    before, after = curve.sample(knots - 1e-9), curve.sample(knots)
    assert np.allclose(before, after, atol=1e-3)


def test_the_curve_is_exact_for_cubics() -> None:
    t = np.arange(12.0) * 0.05

    def cubic(x):
        return (0.1 + x - 2 * x**2 + 3 * x**3)[:, None]

    row = np.linspace(-0.5, 11.5, 97)
    assert np.abs(Curve.through(cubic(t), 0.05).sample(row)[0] - cubic(row * 0.05)).max() < 1e-12


@settings(deadline=None)
@given(st.floats(-30.0, 30.0), unit, unit)
def test_bent_positions_stay_inside_and_derivatives_match(position, velocity, acceleration) -> None:
    h = 1e-5
    t = np.array([-h, 0.0, h])
    p = position + velocity * t + 0.5 * acceleration * t**2
    v = velocity + acceleration * t
    path = np.stack([p, v, 0.0 * t + acceleration])[..., None]
    out = bend_inside(path, LIMITS)[..., 0]
    assert (np.abs(out[0]) <= 3.0).all()
    assert out[1, 1] == pytest.approx((out[0, 2] - out[0, 0]) / (2 * h), abs=1e-4)
    assert out[2, 1] == pytest.approx((out[1, 2] - out[1, 0]) / (2 * h), abs=1e-3)
    if abs(position) < 2.94:
        assert np.array_equal(out, path[..., 0])


@settings(deadline=None)
@given(unit, unit, unit, unit)
def test_a_fade_starts_with_the_offset_and_ends_with_nothing(p, v, a, j) -> None:
    offset = np.array([[p], [v], [a], [j]])
    out = fade(offset, 1e-4, 0.2)[..., 0]
    assert np.allclose(out[:, 0], [p, v, a])
    # It starts with the jerk too: its acceleration is a quintic, so six samples tell.
    few = fade(offset, 0.02, 0.2)[2, :6, 0]
    assert np.polyfit(0.02 * np.arange(6), few, 5)[-2] == pytest.approx(j, abs=1e-6)
    assert (np.abs(out[:, -1]) < [1e-9, 1e-6, 1e-2]).all()
    assert np.allclose(np.diff(out[0]) / 1e-4, 0.5 * (out[1, 1:] + out[1, :-1]), atol=1e-3)
    assert np.allclose(np.diff(out[1]) / 1e-4, 0.5 * (out[2, 1:] + out[2, :-1]), atol=1e-1)


@settings(max_examples=examples(100), deadline=None)
@given(unit, unit)
def test_the_extent_of_a_stop_is_that_of_ruckigs_stop(v, a) -> None:
    state = np.array([[0.3], [2.5 * v], [12.0 * a]])
    low, high = stop_extent(state, LIMITS)
    move = Mover(LIMITS).stop(state)
    path = move.sample(np.linspace(0.0, move.duration_s, 400))[0]
    assert low[0] == pytest.approx(path.min(), abs=2e-4)
    assert high[0] == pytest.approx(path.max(), abs=2e-4)


def samples(p, v, a):
    return np.array([p, v, a], dtype=float)[..., None]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (samples([0, 0], [0, 0], [0, 0]), ""),
        (samples([0, np.nan], [0, 0], [0, 0]), "finite"),
        (samples([3.1, 3.1], [0, 0], [0, 0]), "upper position"),
        (samples([-3.1, -3.1], [0, 0], [0, 0]), "lower position"),
        (samples([0, 0.03], [3, 3], [0, 0]), "velocity limit"),
        (samples([0, 0], [0, 0], [13, 13]), "acceleration"),
        (samples([0, 0], [0, 0], [0, 5]), "jerk"),
        (samples([0, 0], [0, 1], [0, 0]), "velocity continuity"),
        (samples([0, 1], [0, 0], [0, 0]), "position continuity"),
    ],
)
def test_the_guard_names_what_is_wrong(path, text) -> None:
    found = violation(path, 0.01, LIMITS)
    assert (text in found) if text else found == ""


def test_a_state_that_cannot_stop_in_time_is_found() -> None:
    path = samples([0.0, 2.9, 2.9, 0.0], [2.4, 2.4, -2.4, 2.4], [0.0, 0.0, 0.0, 11.0])
    assert stoppable(path, LIMITS).tolist() == [True, False, True, False]


def test_demand_names_the_limits_and_pace_obeys_it() -> None:
    t = np.arange(100) * 0.01
    plan = np.stack([np.zeros(100), 5.0 * np.exp(-(((t - 0.7) / 0.05) ** 2)), np.zeros(100)])
    factors, limited = demand(plan[..., None], 0.01, LIMITS)
    assert limited.tolist() == [2]
    assert factors.max() == pytest.approx(2.0)
    assert factors[0] == 1.0
    pace = Pace.of(factors, 0.01, 0.15, t[-1])
    time, rate, change = pace.at(np.arange(0.0, pace.duration_s, 0.01))
    assert (rate <= np.interp(time, t, 1.0 / factors) + 1e-3).all()
    assert rate[0] == 1.0
    assert np.allclose(np.diff(time) / 0.01, 0.5 * (rate[1:] + rate[:-1]), atol=1e-3)
    assert np.allclose(np.diff(rate) / 0.01, 0.5 * (change[1:] + change[:-1]), atol=0.3)
    assert pace.duration_s < 1.5 * t[-1]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"velocity": np.array([0.0])}, "'velocity' must be finite and above 0"),
        ({"jerk": np.array([np.inf])}, "'jerk' must be finite"),
        ({"lower": np.array([4.0])}, "below the upper"),
        ({"upper": np.array([1.0, 2.0])}, "shape"),
        ({"lower": np.array([np.nan])}, "must be a number"),
    ],
)
def test_limits_that_make_no_sense_are_refused(change, text) -> None:
    fields = ("names", "lower", "upper", "velocity", "acceleration", "jerk")
    values = {name: getattr(LIMITS, name) for name in fields}
    with pytest.raises(MotionRefused, match=text):
        MotionLimits(**{**values, **change})
