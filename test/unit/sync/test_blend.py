from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rig import MS, contract, picture, streams

from vla_ros.spaces import Observation
from vla_ros.spaces.rotations import angle_between, quaternion_from_axis_angle
from vla_ros.sync import Blend, StreamConfig, Synchroniser

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


def test_a_velocity_that_changes_is_no_sign_that_the_robot_moved() -> None:
    front, _, joints = streams()
    for shows, refused in ((False, False), (True, True)):
        base = odometry(shows_motion=shows, blend=Blend())
        sync = Synchroniser(contract(), "front", [front, joints, base], max_age_ns=300 * MS)
        seen = []
        for t in range(50, 301, 50):
            sync.push("state", t * MS, np.zeros(2), t * MS)
            sync.push("state/base", t * MS, np.array([t / 100, 0.0]), t * MS)
            sync.push("front", t * MS, picture(1), t * MS)
            seen.append(sync.observe(t * MS))
        assert any(not isinstance(one, Observation) for one in seen) == refused
