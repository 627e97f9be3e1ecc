from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rig import MS, contract, picture, streams

from vla_ros.spaces import Observation
from vla_ros.spaces.rotations import angle_between, quaternion_from_axis_angle
from vla_ros.sync import Blend, StreamConfig, Synchroniser
from vla_ros.sync.blend import bend

TURN = 2 * np.pi
ANGLES = st.floats(-20, 20, allow_nan=False)


@given(start=ANGLES, step=st.floats(-3.1, 3.1), fraction=st.floats(0, 1))
def test_a_continuous_joint_turns_the_short_way_across_the_seam(
    start: float, step: float, fraction: float
) -> None:
    blend = Blend(angles=(0,))
    ends = [blend.canonical(np.array([angle])) for angle in (start, start + step)]
    between = blend.between(*ends, fraction)[0]
    assert -np.pi < between <= np.pi
    expected = start + fraction * step
    assert abs(np.remainder(between - expected + np.pi, TURN) - np.pi) < 1e-9


@given(angle=ANGLES)
def test_an_angle_stays_the_same_angle_in_one_turn(angle: float) -> None:
    wrapped = Blend(angles=(1,)).canonical(np.array([angle, angle]))
    assert wrapped[0] == angle
    assert -np.pi < wrapped[1] <= np.pi
    assert abs(np.sin(wrapped[1] - angle)) < 1e-9
    assert np.cos(wrapped[1] - angle) > 0


def test_orientations_go_along_the_great_arc_and_the_rest_straight() -> None:
    blend = Blend(quaternions=(1,))
    ends = [
        np.array([x, *sign * quaternion_from_axis_angle([0, 0, angle]), x])
        for x, sign, angle in ((0.0, 1, 0.2), (4.0, -1, 1.4))
    ]
    between = blend.between(ends[0], ends[1], 0.25)
    np.testing.assert_allclose(between[[0, 5]], 1.0)
    expected = quaternion_from_axis_angle([0, 0, 0.5])
    np.testing.assert_allclose(angle_between(between[1:5], expected), 0, atol=1e-9)


def test_the_samples_given_are_not_changed() -> None:
    left, right = np.array([3.0]), np.array([-3.0])
    Blend(angles=(0,)).between(left, right, 0.5)
    assert (left[0], right[0]) == (3.0, -3.0)


@given(
    start=ANGLES,
    speed=st.floats(-3, 3),
    acceleration=st.floats(-9, 9),
    span=st.floats(0.002, 0.3),
    fraction=st.floats(0, 1),
)
def test_with_true_rates_a_motion_that_accelerates_evenly_is_met_exactly(
    start: float, speed: float, acceleration: float, span: float, fraction: float
) -> None:
    def at(t: float) -> np.ndarray:
        return np.array([start + speed * t + acceleration * t * t / 2])

    def gain(t: float) -> np.ndarray:
        return np.array([(speed + acceleration * t) * span])

    between = Blend().between(at(0), at(span), fraction, (gain(0), gain(span)))
    np.testing.assert_allclose(between, at(fraction * span), atol=1e-7)


RATES = st.floats(-50, 50) | st.just(float("nan"))


FURTHEST = 2 / (9 * np.sqrt(3))
"""From the line, in differences of the rates: of f (1 - f) (1 + f), the most that bends one way.

An even acceleration, f (1 - f), reaches 1/8.
"""


@given(change=st.floats(-5, 5), first=RATES, last=RATES, fraction=st.floats(0, 1))
@example(change=0.0, first=3.0, last=-6.0, fraction=0.625)
@example(change=0.0, first=1.0, last=-2.0, fraction=1 / np.sqrt(3))
def test_whatever_rates_are_stated_the_curve_stays_near_the_line_and_bends_one_way(
    change: float, first: float, last: float, fraction: float
) -> None:
    stated = np.array([first]), np.array([last])
    off = bend(np.array([change]), *stated, fraction)[0]
    if np.isnan(first + last):
        assert off == 0
    else:
        assert abs(off) <= FURTHEST * abs(last - first) + 1e-9
        grid = np.array([bend(np.array([change]), *stated, k / 20)[0] for k in range(21)])
        curvature = np.diff(grid, 2)
        assert (curvature > -1e-9).all() or (curvature < 1e-9).all()


@given(change=st.floats(0.01, 5), fraction=st.floats(0, 1))
def test_velocities_that_are_filled_with_zeros_change_nothing(
    change: float, fraction: float
) -> None:
    none = np.zeros(1)
    assert bend(np.array([change]), none, none, fraction)[0] == 0


@pytest.mark.parametrize(
    ("rates", "tolerance_ms", "p95_ms"),
    [
        ("none", 200, (3.0, 12.0)),
        ("none", 50, (0.0, 3.0)),
        ("true", 200, (0.0, 1.5)),
        ("10 ms late", 200, (0.0, 3.0)),
    ],
)
def test_a_swinging_joint_of_which_half_is_lost_is_met_by_its_velocities_or_a_tight_tolerance(
    rates: str, tolerance_ms: int, p95_ms: tuple[float, float]
) -> None:
    """50 Hz, half lost: where the gaps are long, a straight line is too far off."""

    def angle(t_ns: float) -> float:
        return 0.25 * np.sin(np.pi * t_ns * 1e-9)

    def speed(t_ns: float) -> float:
        return 0.25 * np.pi * np.cos(np.pi * t_ns * 1e-9)

    front, _, joints = streams(state={"tolerance_ns": tolerance_ms * MS, "wait_ns": 0})
    sync = Synchroniser(contract(), "front", [front, joints], max_age_ns=900 * MS)
    dice = np.random.default_rng(0)
    late_ns = 10 * MS if rates == "10 ms late" else 0
    errors_ms = []
    for t in range(1000, 31_000):
        now = t * MS
        if t % 20 == 0 and dice.random() < 0.5:
            stated = None if rates == "none" else np.array([speed(now - late_ns)])
            sync.push("state", now, np.array([angle(now)]), now, rates=stated)
        if t % 33 == 0:
            sync.push("front", now - 300 * MS, picture(t), now)
        seen = sync.observe(now)
        if isinstance(seen, Observation):
            off = abs(seen.state[0] - angle(seen.t_obs_ns))
            errors_ms.append(off / (0.25 * np.pi) * 1e3)
    assert len(errors_ms) > (750 if tolerance_ms == 200 else 450)
    assert p95_ms[0] <= np.percentile(errors_ms, 95) <= p95_ms[1]


def odometry(**changes: object) -> StreamConfig:
    values = {
        "name": "state/base",
        "strategy": "interpolate",
        "tolerance_ns": 50 * MS,
        "on_loss": "skip",
        "blend": Blend(angles=(1,)),
        **changes,
    }
    return StreamConfig(**values)  # type: ignore[arg-type]


def test_every_vector_joins_the_state_at_its_own_rate_and_in_its_own_way() -> None:
    front, _, joints = streams()
    sync = Synchroniser(contract(), "front", [front, odometry(), joints], max_age_ns=300 * MS)
    for t in range(10, 121, 10):
        sync.push("state", t * MS, np.array([t, 2.0 * t]), t * MS)
    for t, yaw in ((80, 3.1), (120, 3.1 - TURN + 0.04)):  # across the seam at pi
        sync.push("state/base", t * MS, np.array([t / 10, yaw]), t * MS)
    sync.push("front", 95 * MS, picture(95), 100 * MS)
    seen = sync.observe(120 * MS)
    assert isinstance(seen, Observation)
    # joints first whatever the order declared, then the base
    np.testing.assert_allclose(seen.state, [95, 190, 9.5, 3.115])
    assert [report.name for report in seen.streams] == ["front", "state/base", "state"]
    assert not seen.state.flags.writeable


@given(turns=st.integers(-3, 3), angle=st.floats(-3, 3), sign=st.sampled_from([-1.0, 1.0]))
def test_a_change_does_not_depend_on_whole_turns_and_on_a_quaternions_sign(
    turns: int, angle: float, sign: float
) -> None:
    blend = Blend(angles=(0,), quaternions=(1,))
    q = quaternion_from_axis_angle(np.array([0.0, angle, 0.0]))
    left, right = np.array([angle, *q]), np.array([angle + turns * TURN, *(sign * q)])
    np.testing.assert_allclose(blend.change(left, right), np.zeros(5), atol=1e-12)


@pytest.mark.parametrize(
    ("places", "moving", "refused"),
    [(1, 0, True), (1, 1, False), (0, 0, False), (None, 1, True)],
)
def test_only_the_elements_that_say_where_the_robot_is_show_that_it_moved(
    places: int | None, moving: int, refused: bool
) -> None:
    front, _, joints = streams()
    base = odometry(places=places, blend=Blend())
    sync = Synchroniser(contract(), "front", [front, joints, base], max_age_ns=300 * MS)
    seen = []
    for t in range(50, 301, 50):
        sync.push("state", t * MS, np.zeros(2), t * MS)
        sync.push("state/base", t * MS, np.eye(2)[moving] * t / 100, t * MS)
        sync.push("front", t * MS, picture(1), t * MS)
        seen.append(sync.observe(t * MS))
    assert any(not isinstance(one, Observation) for one in seen) == refused
