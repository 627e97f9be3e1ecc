"""Messages of drivers by their fields: every number lands in the element that is named after it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.robot.command.intake import push
from vla_ros.robot.load import load_robot
from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.spaces import Observation, TimeContract
from vla_ros.spaces.rotations import from_matrix, matrix_from, quaternion_from_axis_angle

MS = 1_000_000
BASE = load_robot("sim_arm")
CONTRACT = TimeContract(
    image_latency_ns={}, state_at="capture", action_offset_ns=0, dt_ns=50 * MS,
    interpolation="linear",
)  # fmt: skip
LOSS = {"tolerance_s": 0.05, "on_loss": "skip"}
HEADER = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=100 * MS))
ANGLES = st.floats(-3.1, 3.1)


def fields(**values: float) -> Any:
    return SimpleNamespace(**values)


def turned(q: Any) -> Any:
    return fields(x=q[0], y=q[1], z=q[2], w=q[3])


def state_after(source: dict[str, Any], message: Any) -> dict[str, float]:
    """The state by the names of its elements."""
    values = BASE.model_dump() | {"cameras": (), "anchor": "state", "poses": {}}
    sources = [{**source, "name": "x", "topic": "/x", **LOSS}]
    values["state"] = {"topic": "/j", "joints": ["joint1"], "sources": sources, **LOSS}
    spec = RobotSpec.model_validate(values)
    observer = Observer(spec, CONTRACT)
    joints = SimpleNamespace(header=HEADER, name=["joint1"], position=[0.25], velocity=[])
    for one, said in zip((spec.state, *spec.state.sources), (joints, message), strict=True):
        assert push(observer, one, said, 100 * MS) is None
    seen = observer.observe(100 * MS)
    assert isinstance(seen, Observation), seen
    return dict(zip(spec.state_space().names, seen.state.tolist(), strict=True))


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
