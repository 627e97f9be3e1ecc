"""URDF, MJCF and the closed form describe one robot."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from vla_ros.sim import kinematics
from vla_ros.sim.model import HOME, load_model
from vla_ros.sim.truth import ARM_JOINTS, JOINTS

URDF = Path(__file__).parents[3] / "urdf" / "sim_arm.urdf"


@pytest.fixture(scope="module")
def urdf() -> mujoco.MjModel:
    text = URDF.read_text().replace(
        '<robot name="sim_arm">',
        '<robot name="sim_arm"><mujoco><compiler fusestatic="false"/></mujoco>',
    )
    return mujoco.MjModel.from_xml_string(text)


def random_joints(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(kinematics.LOWER, kinematics.UPPER, (count, 6))


def test_urdf_and_mjcf_have_the_same_forward_kinematics(urdf: mujoco.MjModel) -> None:
    mjcf = load_model()
    a, b = mujoco.MjData(urdf), mujoco.MjData(mjcf)
    for q in random_joints(50):
        for model, data in ((urdf, a), (mjcf, b)):
            data.qpos[:6], data.qpos[6:8] = q, 0.02
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
        for body in (
            "link1",
            "link2",
            "link3",
            "link4",
            "link5",
            "hand",
            "left_finger",
            "right_finger",
        ):
            np.testing.assert_allclose(a.body(body).xpos, b.body(body).xpos, atol=1e-9)
            np.testing.assert_allclose(a.body(body).xmat, b.body(body).xmat, atol=1e-9)
        np.testing.assert_allclose(a.body("tcp").xpos, b.site("tcp").xpos, atol=1e-9)
        for camera in ("front", "wrist"):
            frame = a.body(f"{camera}_camera_optical_frame")
            np.testing.assert_allclose(frame.xpos, b.cam(camera).xpos, atol=1e-9)
            # MuJoCo's cameras look along -z with y up, optical frames along z with y down.
            optical = b.cam(camera).xmat.reshape(3, 3) @ np.diag([1.0, -1.0, -1.0])
            np.testing.assert_allclose(frame.xmat.reshape(3, 3), optical, atol=1e-5)


def test_urdf_and_mjcf_have_the_same_joints_and_limits(urdf: mujoco.MjModel) -> None:
    mjcf = load_model()
    for name in (*JOINTS, "finger_joint_mimic"):
        np.testing.assert_allclose(urdf.joint(name).range, mjcf.joint(name).range)
    for index, name in enumerate(ARM_JOINTS):
        limits = (kinematics.LOWER[index], kinematics.UPPER[index])
        np.testing.assert_allclose(mjcf.joint(name).range, limits)


def test_closed_form_equals_the_model() -> None:
    model = load_model()
    data = mujoco.MjData(model)
    q = random_joints(50)
    position, rotation = kinematics.forward(q)
    for row in range(50):
        data.qpos[:6] = q[row]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(position[row], data.site("tcp").xpos, atol=1e-9)
        np.testing.assert_allclose(rotation[row].ravel(), data.site("tcp").xmat, atol=1e-9)


def test_inverse_undoes_forward_in_its_branch() -> None:
    rng = np.random.default_rng(2)
    low = (-1.0, -0.4, -0.5, -0.6, 0.15, -1.0)
    q = rng.uniform(low, (1.0, 1.0, 0.9, 0.6, 1.8, 1.0), (200, 6))
    np.testing.assert_allclose(kinematics.inverse(*kinematics.forward(q)), q, atol=1e-9)


def test_at_home_the_hand_points_down() -> None:
    _, rotation = kinematics.forward(HOME[None])
    np.testing.assert_allclose(rotation[0], kinematics.hand_down(np.zeros(1))[0], atol=1e-5)


def test_a_point_out_of_reach_gives_the_nearest_reachable_one() -> None:
    q = kinematics.inverse(np.array([[3.0, 0.0, 0.3]]), kinematics.hand_down(np.zeros(1)))
    assert np.isfinite(q).all()
    assert np.all((q >= kinematics.LOWER) & (q <= kinematics.UPPER))
