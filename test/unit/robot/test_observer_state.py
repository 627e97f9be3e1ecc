"""The state vector: names, units, several topics, poses, odometry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arm_states import BASE, CONTRACT, LOSS, MS, robot
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.robot.command.joints import JointReader, JointsOfAllTopics
from vla_ros.robot.senses.observer import Observer
from vla_ros.spaces import Observation
from vla_ros.spaces.rotations import from_matrix, matrix_from, quaternion_from_axis_angle
from vla_ros.sync import Refusal


def state_at(observer: Observer, t_ms: int) -> np.ndarray:
    seen = observer.observe(t_ms * MS)
    assert isinstance(seen, Observation), seen
    return seen.state


ARM = ["joint1", "joint2", "joint3", "joint4", "joint5", "joint6", "finger_joint"]


def test_a_gripper_opening_and_a_mimic_joint_are_made_from_the_joint_that_is_published() -> None:
    spec = robot(
        joints=[*ARM, "width", "mirror"],
        derived={
            "width": {"joint": "finger_joint", "scale": 2.0},
            "mirror": {"joint": "joint1", "scale": -1.0, "offset": 0.5},
        },
    )
    observer = Observer(spec, CONTRACT)
    values = dict(zip(ARM, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.03], strict=True))
    assert observer.push_joints(10 * MS, values, 10 * MS) is None
    np.testing.assert_allclose(
        state_at(observer, 60), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.03, 0.06, 0.4]
    )
    assert spec.state_space().names[-2:] == ("width", "mirror")


def test_a_driver_that_speaks_degrees_is_heard_in_radians() -> None:
    observer = Observer(robot(joints=["joint1", "joint2"], unit="deg"), CONTRACT)
    observer.push_joints(10 * MS, {"joint1": 90.0, "joint2": -45.0}, 10 * MS)
    np.testing.assert_allclose(state_at(observer, 60), [np.pi / 2, -np.pi / 4])


def test_degrees_taken_for_radians_are_refused_and_the_unit_is_named() -> None:
    observer = Observer(robot(joints=["joint1", "joint2"]), CONTRACT)
    refusal = observer.push_joints(10 * MS, {"joint1": 90.0, "joint2": -45.0}, 10 * MS)
    assert isinstance(refusal, Refusal)
    assert "joint1 is far outside its limits" in refusal.what
    assert "unit" in refusal.do
    assert observer.counts()["state"] == {"form": 1}


@given(order=st.permutations(["a_x", "a_y", "b_x", "b_y"]), fraction=st.floats(0, 1))
def test_two_arms_on_two_topics_are_put_together_by_name_whatever_the_order(
    order: list[str], fraction: float
) -> None:
    spec = robot(
        joints=["a_x", "a_y"],
        prefix="a_",
        sources=[
            {"kind": "joints", "name": "b", "topic": "/b", "prefix": "b_",
             "joints": ["b_x", "b_y"], **LOSS},
        ],
    )  # fmt: skip
    spec = spec.model_copy(update={"limits": {}})
    observer = Observer(spec, CONTRACT)
    value = {"a_x": 1.0, "a_y": 2.0, "b_x": 3.0, "b_y": 4.0}
    t_ms = 110 + round(10 * fraction)
    observer.push_joints(110 * MS, {"y": 0.0, "x": 0.0}, 110 * MS, "state/b")
    for stream, side in (("state", "a"), ("state/b", "b")):
        names = [name for name in order if name.startswith(side)]
        short = [name.removeprefix(f"{side}_") for name in names]
        stamp = t_ms if stream == "state" else 120
        observer.push_joint_arrays(
            stamp * MS, short, [value[name] for name in names], 120 * MS, stream
        )
    share = (t_ms - 110) / 10
    np.testing.assert_allclose(state_at(observer, 170), [1.0, 2.0, 3.0 * share, 4.0 * share])


def test_a_continuous_joint_is_kept_in_one_turn_and_goes_the_short_way() -> None:
    wheel = {"kind": "joints", "name": "w", "topic": "/w", "joints": ["w1"], "continuous": ["w1"]}
    spec = robot(joints=["joint1"], sources=[{**wheel, **LOSS}])
    observer = Observer(spec, CONTRACT)
    observer.push_joints(105 * MS, {"joint1": 0.0}, 105 * MS)
    observer.push_joints(100 * MS, {"w1": 3.1 + 2 * np.pi}, 105 * MS, "state/w")
    observer.push_joints(110 * MS, {"w1": -3.1}, 110 * MS, "state/w")
    np.testing.assert_allclose(np.abs(state_at(observer, 110)[1]), np.pi, atol=1e-9)


@pytest.mark.parametrize("form", ["quaternion", "rpy", "axis_angle", "sixd"])
def test_a_pose_is_interpolated_on_the_arc_and_given_in_the_form_asked_for(form: Any) -> None:
    tool = {"kind": "pose", "name": "tool", "topic": "/tool", "rotation": form}
    observer = Observer(robot(joints=["joint1"], sources=[{**tool, **LOSS}]), CONTRACT)
    observer.push_joints(105 * MS, {"joint1": 0.25}, 105 * MS)
    for t, x, angle in ((100, 0.0, 0.2), (110, 1.0, 1.0)):
        q = quaternion_from_axis_angle([0, angle, 0])
        assert observer.push_vector("state/tool", t * MS, np.array([x, 0, 0, *q]), t * MS) is None
    state = state_at(observer, 110)
    np.testing.assert_allclose(state[:4], [0.25, 0.5, 0, 0])
    expected = matrix_from("axis_angle", [0, 0.6, 0])
    np.testing.assert_allclose(matrix_from(form, state[4:]), expected, atol=1e-12)
    np.testing.assert_allclose(state[4:], from_matrix(form, expected), atol=1e-12)


def test_odometry_and_a_wrench_join_the_state_with_their_kinds() -> None:
    spec = robot(
        joints=["joint1"],
        sources=[
            {"kind": "odometry", "name": "base", "topic": "/odom", **LOSS,
             "elements": ["vyaw", "vx", "yaw"]},
            {"kind": "wrench", "name": "ft", "topic": "/ft", **LOSS},
        ],
    )  # fmt: skip
    space = spec.state_space()
    assert space.names[:4] == ("joint1", "base_yaw", "base_vx", "base_vyaw")
    assert space.kinds == ("position",) * 2 + ("velocity",) * 2 + ("effort",) * 6
    observer = Observer(spec, CONTRACT)
    observer.push_joints(100 * MS, {"joint1": 0.25}, 100 * MS)
    observer.push_vector("state/base", 100 * MS, np.array([1, 2, 0.3, 0.4, 0, 0.6]), 100 * MS)
    observer.push_vector("state/ft", 100 * MS, np.arange(6.0), 100 * MS)
    np.testing.assert_allclose(state_at(observer, 100), [0.25, 0.3, 0.4, 0.6, 0, 1, 2, 3, 4, 5])


def frozen_while(source: dict[str, Any], samples: list[np.ndarray]) -> bool:
    """Whether a camera whose pixels stay the same is found frozen, the arm being at rest."""
    spec = robot(joints=["joint1"], sources=[{**source, "name": "x", "topic": "/x", **LOSS}])
    spec = spec.model_copy(update={"cameras": BASE.cameras[:1], "anchor": "front"})
    observer = Observer(spec, replace(CONTRACT, image_latency_ns={"front": 0}))
    picture = np.zeros((360, 480, 3), dtype=np.uint8)
    seen = []
    for k, sample in enumerate(samples, 1):
        t_ns = 100 * k * MS
        observer.push_joints(t_ns, {"joint1": 0.0}, t_ns)
        if source["kind"] == "joints":
            observer.push_joints(t_ns, {"w": sample[0]}, t_ns, "state/x")
        else:
            observer.push_vector("state/x", t_ns, sample, t_ns)
        observer.push_image("front", t_ns, picture, t_ns)
        seen.append(observer.observe(t_ns))
    assert isinstance(seen[0], Observation)
    return isinstance(seen[-1], Refusal) and "does not change while" in seen[-1].what


def test_a_base_that_drives_shows_that_a_camera_is_frozen() -> None:
    base = {"kind": "odometry", "elements": ["vx", "vyaw"]}
    assert frozen_while(base, [np.array([0.1 * k, 0, 0, 0.2, 0, 0]) for k in range(3)])
    assert frozen_while(base, [np.array([0, 0, 0.1 * k, 0, 0, 0.2]) for k in range(3)])
    assert not frozen_while(base, [np.array([0, 0, 0, 0.1 * k, 0, 0]) for k in range(3)])
    assert not frozen_while({"kind": "wrench"}, [np.full(6, 5.0 * k) for k in range(3)])


def test_a_turn_that_is_none_does_not_make_a_camera_look_frozen() -> None:
    wheel = {"kind": "joints", "joints": ["w"], "continuous": ["w"]}
    assert not frozen_while(wheel, [np.array([sign * (np.pi - 1e-9)]) for sign in (1, -1, 1)])
    assert frozen_while(wheel, [np.array([angle]) for angle in (3.1, -3.1, -3.0)])
    still = np.array([0.5, 0, 0, 0, 0.6, 0, 0.8])
    flipped = still * [1, 1, 1, -1, -1, -1, -1]
    assert not frozen_while({"kind": "pose"}, [still, flipped, still])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([1.0, 0, 0, 0, 0, 0, 0]), "a quaternion is zero"),
        (np.array([np.nan, 0, 0, 0, 0, 0, 1]), "not finite"),
        (np.zeros(3), "missing"),
    ],
)
def test_a_pose_that_is_none_is_refused(values: np.ndarray, said: str) -> None:
    tool = {"kind": "pose", "name": "tool", "topic": "/tool"}
    observer = Observer(robot(joints=["joint1"], sources=[{**tool, **LOSS}]), CONTRACT)
    refusal = observer.push_vector("state/tool", 10 * MS, values, 10 * MS)
    assert isinstance(refusal, Refusal)
    assert said in refusal.what
    assert observer.counts()["state/tool"] == {"form": 1}


def test_velocities_are_read_by_name_in_the_drivers_unit_where_it_measures_them() -> None:
    spec = robot(
        joints=["left_b", "left_a", "left_c", "width"],
        prefix="left_",
        unit="deg",
        derived={"width": {"joint": "finger", "scale": 2.0, "offset": 1.0}},
    ).model_copy(update={"limits": {}})
    reader = JointReader(spec.state)
    names = ["a", "b", "finger", "c"]
    rates = reader.rates(names, [90.0, -180.0, 0.5, float("inf")])
    np.testing.assert_allclose(rates, [-np.pi, np.pi / 2, np.nan, 1.0])
    assert reader.rates(names, []) is None


def test_between_two_joint_states_the_arm_is_where_its_velocities_put_it() -> None:
    other = {"kind": "joints", "name": "b", "topic": "/b", "joints": ["y"], **LOSS}
    observer = Observer(robot(joints=["joint1"], sources=[other]), CONTRACT)
    for t_ms in (100, 140):  # from rest, 5 rad/s^2
        t = (t_ms - 100) * 1e-3
        observer.push_joints(
            t_ms * MS, {"y": 2.5 * t * t}, t_ms * MS, "state/b", velocities={"y": 5 * t}
        )
    observer.push_joints(120 * MS, {"joint1": 0.25}, 140 * MS)
    np.testing.assert_allclose(state_at(observer, 140), [0.25, 0.001], atol=1e-12)


def test_a_source_that_is_lost_is_named_with_its_topic() -> None:
    tool = {"kind": "pose", "name": "tool", "topic": "/tool_pose"}
    observer = Observer(robot(joints=["joint1"], sources=[{**tool, **LOSS}]), CONTRACT)
    observer.push_joints(10 * MS, {"joint1": 0.25}, 10 * MS)
    refusal = observer.observe(100 * MS)
    assert isinstance(refusal, Refusal)
    assert refusal.stream == "state/tool"
    assert "/tool_pose" in refusal.expected


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"joints": ["joint1"], "continuous": ["joint2"]}, "continuous names joint2"),
        ({"joints": ["joint1"], "prefix": "left_"}, "do not begin with the prefix 'left_'"),
        (
            {"joints": ["joint1"], "sources": [
                {"kind": "joints", "name": "b", "topic": "/b", "joints": ["joint1"], **LOSS}]},
            "state element 'joint1' occurs more than once",
        ),
        (
            {"joints": ["joint1"], "sources": [{
                "kind": "joints", "name": "b", "topic": "/joint_states", "joints": ["joint2"],
                **LOSS}]},
            "joints of /joint_states are in more than one source",
        ),
    ],
)  # fmt: skip
def test_a_state_that_contradicts_itself_is_refused(state: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        robot(**state)


def test_control_hears_every_joint_of_every_topic_in_si_and_only_when_all_are_new() -> None:
    spec = robot(
        joints=["a_x", "width"],
        prefix="a_",
        unit="deg",
        derived={"width": {"joint": "x", "scale": 0.5}},
        sources=[{"kind": "joints", "name": "b", "topic": "/b", "joints": ["y"], **LOSS}],
    )
    a, b = spec.state.joint_sources
    joints = JointsOfAllTopics(spec.state)
    assert joints.heard(a, 10, {"x": 180.0, "other": 90.0}) is None
    assert joints.heard(b, 12, {"y": 2.0}) == (
        10, pytest.approx({"a_x": np.pi, "a_other": np.pi / 2, "width": 90.0, "y": 2.0})
    )  # fmt: skip
    assert joints.heard(b, 14, {"y": 2.0}) is None, "the other topic has said nothing new"
    assert joints.heard(a, 20, {"x": 0.0}) == (
        14, pytest.approx({"a_x": 0.0, "width": 0.0, "y": 2.0})
    )  # fmt: skip


def test_control_hears_nothing_of_before_when_time_went_back() -> None:
    source = {"kind": "joints", "name": "b", "topic": "/b", "joints": ["joint2"], **LOSS}
    spec = robot(joints=["joint1"], sources=[source])
    a, b = spec.state.joint_sources
    joints = JointsOfAllTopics(spec.state)
    joints.heard(a, 400, {"joint1": 0.5})
    assert joints.heard(b, 400, {"joint2": 0.5}) is not None
    joints.forget()
    assert joints.heard(a, 10, {"joint1": 0.1}) is None, "joint2 is as it was before"
    assert joints.heard(a, 20, {"joint1": 0.1}) is None, "however long it is silent"
    assert joints.heard(b, 20, {"joint2": 0.2}) == (20, {"joint1": 0.1, "joint2": 0.2})


def test_control_hears_one_topic_as_it_comes_repeated_stamps_included() -> None:
    joints = JointsOfAllTopics(robot(joints=["joint1"]).state)
    source = robot(joints=["joint1"]).state
    for _ in range(2):
        assert joints.heard(source, 10, {"joint1": 0.5}) == (10, {"joint1": 0.5})
