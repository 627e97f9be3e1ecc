"""Messages of drivers by their fields: every number lands in the element that is named after it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from arm_states import CONTRACT, LOSS, MS, robot
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_ros.robot.command.intake import push
from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.spaces import Observation
from vla_ros.spaces.raw_images import Encoding
from vla_ros.spaces.rotations import from_matrix, matrix_from, quaternion_from_axis_angle

HEADER = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=100 * MS))
ANGLES = st.floats(-3.1, 3.1)


def fields(**values: float) -> Any:
    return SimpleNamespace(**values)


def turned(q: Any) -> Any:
    return fields(x=q[0], y=q[1], z=q[2], w=q[3])


def state_after(source: dict[str, Any], message: Any) -> dict[str, float]:
    """The state by the names of its elements."""
    spec = robot(joints=["joint1"], sources=[{**source, "name": "x", "topic": "/x", **LOSS}])
    observer = Observer(spec, CONTRACT)
    joints = SimpleNamespace(header=HEADER, name=["joint1"], position=[0.25], velocity=[])
    for one, said in zip((spec.state, *spec.state.sources), (joints, message), strict=True):
        assert push(observer, one, said, 100 * MS) is None
    seen = observer.observe(100 * MS)
    assert isinstance(seen, Observation), seen
    return dict(zip(spec.state_space().names, seen.state.tolist(), strict=True))


@settings(max_examples=50, deadline=None)
@given(yaw=ANGLES, pitch=st.floats(-1.5, 1.5), roll=ANGLES)
def test_odometry_gives_the_place_the_heading_and_the_speed_of_the_base(
    yaw: float, pitch: float, roll: float
) -> None:
    q = from_matrix("quaternion", matrix_from("rpy", [roll, pitch, yaw]))
    pose = SimpleNamespace(position=fields(x=1.0, y=2.0, z=9.0), orientation=turned(q))
    twist = SimpleNamespace(linear=fields(x=0.4, y=0.5, z=9.0), angular=fields(x=9.0, y=9.0, z=0.6))
    message = SimpleNamespace(
        header=HEADER, pose=SimpleNamespace(pose=pose), twist=SimpleNamespace(twist=twist)
    )
    every = ["x", "y", "yaw", "vx", "vy", "vyaw"]
    state = state_after({"kind": "odometry", "elements": every}, message)
    expected = {"x": 1.0, "y": 2.0, "yaw": yaw, "vx": 0.4, "vy": 0.5, "vyaw": 0.6}
    assert state == pytest.approx(
        {"joint1": 0.25, **{f"x_{name}": value for name, value in expected.items()}}, abs=1e-9
    )


def test_a_wrench_gives_force_and_torque() -> None:
    wrench = SimpleNamespace(force=fields(x=1.0, y=2.0, z=3.0), torque=fields(x=4.0, y=5.0, z=6.0))
    state = state_after({"kind": "wrench"}, SimpleNamespace(header=HEADER, wrench=wrench))
    names = ("x_fx", "x_fy", "x_fz", "x_tx", "x_ty", "x_tz")
    assert [state[name] for name in names] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("quaternion", ("qx", "qy", "qz", "qw")),
        ("rpy", ("roll", "pitch", "yaw")),
        ("axis_angle", ("rx", "ry", "rz")),
        ("sixd", ("r11", "r21", "r31", "r12", "r22", "r32")),
    ],
)
def test_a_pose_gives_the_place_and_the_rotation_in_the_form_asked_for(
    form: Any, names: tuple[str, ...]
) -> None:
    rotation = np.array([0.3, -0.5, 0.7])
    pose = SimpleNamespace(
        position=fields(x=1.0, y=2.0, z=3.0),
        orientation=turned(quaternion_from_axis_angle(rotation)),
    )
    message = SimpleNamespace(header=HEADER, pose=pose)
    state = state_after({"kind": "pose", "rotation": form}, message)
    assert [state[f"x_{axis}"] for axis in "xyz"] == [1, 2, 3]
    given = np.array([state[f"x_{name}"] for name in names])
    np.testing.assert_allclose(
        matrix_from(form, given), matrix_from("axis_angle", rotation), atol=1e-12
    )


RGB = np.random.default_rng(3).integers(0, 256, (4, 6, 3), dtype=np.uint8)
DEEP = np.random.default_rng(4).integers(0, 2**16, (4, 6), dtype=np.uint16)
METRES = np.linspace(0.5, 2.0, 24, dtype=np.float32).reshape(4, 6)
OPAQUE = np.full((4, 6, 1), 255, dtype=np.uint8)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=-1)


@pytest.mark.parametrize(
    ("encoding", "data", "seen"),
    [
        ("rgb8", RGB, RGB),
        ("bgr8", RGB[..., ::-1], RGB),
        ("rgba8", np.concatenate((RGB, OPAQUE), axis=-1), RGB),
        ("bgra8", np.concatenate((RGB[..., ::-1], OPAQUE), axis=-1), RGB),
        ("mono8", RGB[..., 0], grey(RGB[..., 0])),
        ("mono16", DEEP.astype(">u2"), grey(DEEP // 256)),
        ("16UC1", np.rint(1000 * METRES).astype("<u2"), None),
        ("32FC1", METRES.astype(">f4"), None),
    ],
)
def test_a_picture_is_what_its_bytes_say_in_every_encoding_and_order_of_bytes(
    encoding: Encoding, data: np.ndarray, seen: np.ndarray | None
) -> None:
    depth = {"depth_range_m": (0.5, 2.0)} if seen is None else {}
    size = {"raw_height": 4, "raw_width": 6, "height": 4, "width": 6}
    camera = {"key": "eye", "topic": "/eye", "frame_id": "eye", "rate_hz": 30, **size, **LOSS}
    values = {"anchor": "eye", "cameras": [{**camera, "encoding": encoding, **depth}]}
    spec = RobotSpec.model_validate(robot(joints=["joint1"]).model_dump() | values)
    observer = Observer(spec, replace(CONTRACT, image_latency_ns={"eye": 0}))
    observer.push_joints(100 * MS, {"joint1": 0.25}, 100 * MS)
    picture = SimpleNamespace(
        header=HEADER, encoding=encoding, height=4, width=6, step=data[0].nbytes,
        data=np.ascontiguousarray(data).tobytes(), is_bigendian=data.dtype.byteorder == ">",
    )  # fmt: skip
    assert push(observer, spec.cameras[0], picture, 100 * MS) is None
    observation = observer.observe(100 * MS)
    assert isinstance(observation, Observation), observation
    if seen is not None:
        np.testing.assert_array_equal(observation.images["eye"], seen)
    else:  # 1 is near, 255 far
        expected = grey(np.rint(1 + 254 * (METRES - 0.5) / 1.5))
        assert np.abs(observation.images["eye"].astype(int) - expected).max() <= 1
