"""Messages and values: there and back, and what is no value is refused in words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pytest.importorskip("vla_ros_msgs.msg", reason="the interfaces are not built or not sourced")

from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from vla_ros_msgs.msg import ActionChunk, Commanded, Observation, SimState

from vla_ros.chunks.plan import Plan
from vla_ros.motion import TrajectoryWindow
from vla_ros.nodes.truth import trajectory_from, truth_from, truth_msg
from vla_ros.robot.command.commands import CommandedSample
from vla_ros.ros.conversions.commanded import commanded_from, commanded_msg
from vla_ros.ros.conversions.image import image_msg, rgb_from
from vla_ros.ros.conversions.joints import JointStateError, joint_state_msg, positions_from
from vla_ros.ros.conversions.observation import observation_from, observation_msg
from vla_ros.ros.conversions.plan import ChunkError, chunk_msg, plan_from
from vla_ros.ros.conversions.times import duration_msg, ns_from, time_msg
from vla_ros.ros.conversions.trajectory import TrajectoryError, trajectory_msg, window_from
from vla_ros.sim.truth import ObjectPose, SimTruth
from vla_ros.spaces import Observation as ObservationValue
from vla_ros.spaces import StreamReport

LAST_STAMP_NS = 2**31 * 10**9 - 1  # seconds are 32 bits
stamps = st.integers(1, LAST_STAMP_NS)
uint32 = st.integers(0, 2**32 - 1)
finite = st.floats(-1e3, 1e3, width=32)
vectors = hnp.arrays(np.float64, st.integers(0, 8), elements=st.floats(-1e3, 1e3))
ids = st.binary(min_size=16, max_size=16)
quick = settings(max_examples=40, deadline=None)


def over_the_wire(message: Any) -> Any:
    return deserialize_message(serialize_message(message), type(message))


def same(left: Any, right: Any) -> bool:
    """Equality of values that hold arrays."""
    if dataclasses.is_dataclass(left):
        return all(
            same(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left)
        )
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=True)
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


@given(t_ns=st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1))
def test_times_come_back_exactly(t_ns):
    assert ns_from(duration_msg(t_ns)) == t_ns
    assert ns_from(time_msg(t_ns)) == t_ns


@given(rgb=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
@quick
def test_images_come_back(rgb):
    assert np.array_equal(rgb_from(over_the_wire(image_msg(rgb, 5, "optical"))), rgb)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_a_received_image_is_read_where_it_lies(encoding):
    message = over_the_wire(image_msg(np.zeros((4, 5, 3), np.uint8), 5, "optical"))
    message.encoding = encoding
    assert np.shares_memory(rgb_from(message), np.frombuffer(message.data, np.uint8))


def test_an_image_with_other_strides_comes_back():
    rgb = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)[::-1, ::2]
    assert np.array_equal(rgb_from(image_msg(rgb, 5, "optical")), rgb)


names = st.text("abcäß_", min_size=1, max_size=5)


@given(positions=st.dictionaries(names, st.floats(-9, 9), max_size=5))
@quick
def test_joint_states_come_back_with_and_without_velocities(positions):
    assert positions_from(over_the_wire(joint_state_msg(7, positions))) == positions
    message = over_the_wire(joint_state_msg(7, positions, positions))
    assert dict(zip(message.name, message.velocity, strict=True)) == positions


def test_a_joint_state_with_a_name_without_position_is_refused():
    message = joint_state_msg(7, {"a": 1.0, "b": 2.0})
    message.position.pop()
    with pytest.raises(JointStateError, match=r"\['a', 'b'\] with 1 positions"):
        positions_from(message)


@st.composite
def observations(draw: st.DrawFn) -> ObservationValue:
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 5)), 3)
    images = {
        key: draw(hnp.arrays(np.uint8, shape)) for key in draw(st.sets(st.sampled_from("abc")))
    }
    states = st.sampled_from(["OK", "HELD", "INTERPOLATED", "STALE", "FROZEN", "MISSING"])
    return ObservationValue(
        seq=draw(uint32),
        t_obs_ns=draw(stamps),
        start_ns=draw(stamps),
        images=images,
        image_stamps_ns={key: draw(stamps) for key in images},
        state=draw(vectors),
        state_stamp_ns=draw(stamps),
        streams=tuple(
            StreamReport(
                name=name,
                state=draw(states),
                stamp_ns=draw(stamps),
                offset_ns=0,
                age_ns=0,
                rate_hz=draw(st.floats(0, 1000, width=32)),
                drops=draw(uint32),
            )
            for name in [*images, "state"]
        ),
    )


@given(value=observations())
@quick
def test_observations_come_back(value):
    message = observation_msg(value, 2**64 - 1, "base", dict.fromkeys("abc", "optical"))
    back = over_the_wire(message)
    assert isinstance(back, Observation)
    assert back.spec_hash == 2**64 - 1
    assert same(observation_from(back), value)


def test_the_age_and_the_offset_of_a_stream_survive_to_a_microsecond():
    report = StreamReport(
        name="state",
        state="OK",
        stamp_ns=10,
        offset_ns=-12_345_678,
        age_ns=123_456_789,
        rate_hz=30.0,
        drops=0,
    )
    value = ObservationValue(
        seq=0, t_obs_ns=7, start_ns=7, images={}, image_stamps_ns={}, state=np.zeros(1),
        state_stamp_ns=10, streams=(report,),
    )  # fmt: skip
    back = observation_from(observation_msg(value, 0, "base", {}))
    assert abs(back.streams[0].age_ns - 123_456_789) < 1000
    assert abs(back.streams[0].offset_ns + 12_345_678) < 1000


@given(
    actions=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=finite
    ),
    run_id=ids,
    numbers=st.tuples(uint32, uint32, st.integers(0, 2**64 - 1)),
    times=st.tuples(stamps, stamps, stamps, stamps, stamps),
    dt_ns=st.integers(1, 10**10),
    interpolation=st.sampled_from(["hold", "linear"]),
    aggregation=st.sampled_from(["sync", "blend"]),
    late=st.booleans(),
)
@quick
def test_plans_come_back(actions, run_id, numbers, times, dt_ns, interpolation, aggregation, late):
    plan = Plan(
        run_id=run_id, epoch=numbers[0], seq=numbers[1], spec_hash=numbers[2], t_obs_ns=times[0],
        start_ns=times[1], dt_ns=dt_ns, valid_from_ns=times[2], actions=actions,
        interpolation=interpolation, aggregation=aggregation, late=late,
        inference_start_ns=times[3], inference_end_ns=times[4], model_id="nano",
    )  # fmt: skip
    back = over_the_wire(chunk_msg(plan, "base"))
    assert isinstance(back, ActionChunk)
    assert same(plan_from(back), plan)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("dim", 3, "declares 2 rows of 3 and carries 4 numbers"),
        ("horizon", 0, "at least 1"),
        ("aggregation", 77, "aggregation 77"),
        ("dt", duration_msg(0), "dt_ns > 0"),
        ("dt", duration_msg(-5), "dt_ns > 0"),
    ],
)
def test_a_chunk_message_that_is_no_plan_is_refused_in_words(field, value, words):
    plan = Plan(
        run_id=bytes(16), epoch=0, seq=1, spec_hash=0, t_obs_ns=1, start_ns=1, dt_ns=1,
        valid_from_ns=1, actions=np.zeros((2, 2)),
    )  # fmt: skip
    message = chunk_msg(plan, "base")
    setattr(message, field, value)
    with pytest.raises(ChunkError, match=words):
        plan_from(message)


@st.composite
def windows(draw: st.DrawFn) -> TrajectoryWindow:
    steps = draw(st.lists(st.integers(1, 10**9), min_size=1, max_size=6))
    shape = (len(steps), draw(st.integers(1, 4)))
    numbers = hnp.arrays(np.float64, shape, elements=st.floats(-9, 9))
    return TrajectoryWindow(
        t_ns=draw(st.integers(1, LAST_STAMP_NS - 6 * 10**9)) + np.cumsum(steps),
        position=draw(numbers),
        velocity=draw(numbers),
        acceleration=draw(numbers),
    )


@given(window=windows())
@quick
def test_windows_come_back_and_the_simulated_controller_reads_the_same(window):
    joints = [f"j{i}" for i in range(window.position.shape[1])]
    message = over_the_wire(trajectory_msg(window, joints))
    assert same(window_from(message), window)
    seen = trajectory_from(message)
    assert seen.joint_names == tuple(joints)
    assert np.array_equal(seen.stamp_ns + seen.time_from_start_ns, window.t_ns)
    assert np.array_equal(seen.velocities, window.velocity)


def test_a_trajectory_without_velocities_is_no_window_but_a_controller_takes_it():
    points = [JointTrajectoryPoint(positions=[1.0], time_from_start=duration_msg(5))]
    message = JointTrajectory(joint_names=["a"], points=points)
    with pytest.raises(TrajectoryError, match=r"\[1, 0, 0\]"):
        window_from(message)
    assert trajectory_from(message).velocities is None


def test_velocities_in_some_points_only_reach_the_controller_as_a_wrong_shape():
    points = [
        JointTrajectoryPoint(positions=[1.0], velocities=[0.0], time_from_start=duration_msg(5)),
        JointTrajectoryPoint(positions=[1.0], time_from_start=duration_msg(9)),
    ]
    seen = trajectory_from(JointTrajectory(joint_names=["a"], points=points))
    assert seen.velocities is not None
    assert seen.velocities.shape == (1, 1)


@given(
    numbers=st.tuples(uint32, uint32, st.integers(0, 2**64 - 1)),
    run_id=ids,
    row=st.one_of(finite, st.just(math.nan)),
    mode=st.sampled_from(["IDLE", "HOLDING", "TRACKING", "STOPPED", "DRY_RUN"]),
    arrays=st.tuples(vectors, vectors, vectors, vectors),
    limited=hnp.arrays(np.uint8, st.integers(0, 8)),
)
@quick
def test_commanded_samples_come_back(numbers, run_id, row, mode, arrays, limited):
    sample = CommandedSample(
        stamp_ns=9, run_id=run_id, epoch=numbers[0], chunk_seq=numbers[1], chunk_row=row,
        spec_hash=numbers[2], mode=mode, action=arrays[0], reference=arrays[1],
        velocity=arrays[2], acceleration=arrays[3], limited=limited, time_scale=1.5, deviation=0.25,
    )  # fmt: skip
    back = over_the_wire(commanded_msg(sample, "base"))
    assert isinstance(back, Commanded)
    assert same(commanded_from(back), sample)


@given(qpos=vectors, qvel=vectors, seed=st.integers(0, 2**63 - 1), xyz=st.tuples(*[finite] * 3))
@quick
def test_the_truth_comes_back(qpos, qvel, seed, xyz):
    pose = ObjectPose(position=np.array(xyz), quaternion=np.array([0.5, -0.5, 0.5, 0.5]))
    truth = SimTruth(stamp_ns=8, qpos=qpos, qvel=qvel, objects={"red cube": pose}, seed=seed)
    back = over_the_wire(truth_msg(truth, "base"))
    assert isinstance(back, SimState)
    assert same(truth_from(back), truth)
