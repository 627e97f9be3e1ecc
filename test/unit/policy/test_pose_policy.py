"""Poses relative to the observation, and rotations told without jumps."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.policy.pose_policy import PosePolicy, without_jumps
from vla_ros.policy.protocol import Guidance, PolicyRequest
from vla_ros.robot.load import load_robot
from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.robot.poses.pose_values import Poses, relative_to, written
from vla_ros.robot.spec.robot import PoseSliceSpec, RobotSpec
from vla_ros.spaces import Observation
from vla_ros.spaces.rotations import ROTATION_SIZES, from_matrix, matrix_from

SPEC = load_robot("sim_arm_ee")
ARM = SPEC.output("arm").joints
HAND = Kinematics(SPEC.urdf_text, ARM, "base_link")
Q = np.array([0.3, 0.2, 0.4, -0.3, 1.0, 0.2])


def robot(state_poses: bool = True, **hand) -> RobotSpec:
    part = PoseSliceSpec.model_validate(SPEC.pose_slices[0].model_dump() | hand)
    state = SPEC.state if state_poses else SPEC.state.model_copy(update={"poses": ()})
    return SPEC.model_copy(update={"action": (part, *SPEC.action[1:]), "state": state})


def observation(spec: RobotSpec) -> Observation:
    position, rotation = HAND.poses(Q[None], "tcp")
    hand = [*position[0], *from_matrix("sixd", rotation[0])] if spec.state.poses else []
    return Observation(
        seq=0,
        t_obs_ns=1,
        start_ns=1,
        images={},
        image_stamps_ns={},
        state=np.array([*Q, 0.03, *hand]),
        state_stamp_ns=1,
        streams=(),
    )


class Says:
    """A policy that answers with given rows and keeps what it was asked."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.asked, self.resets = rows, [], 0
        self.spec = SimpleNamespace(name="says")

    def infer(self, request: PolicyRequest) -> np.ndarray:
        self.asked.append(request)
        return self.rows

    def reset(self) -> None:
        self.resets += 1


def path(rows: int = 20) -> Poses:
    position, rotation = HAND.poses(np.linspace(Q, Q + 0.3, rows), "tcp")
    return Poses(position, rotation)


@pytest.mark.parametrize("state_poses", [True, False])
@pytest.mark.parametrize("axes", ["link", "frame"])
@pytest.mark.parametrize("form", ROTATION_SIZES)
def test_what_is_relative_to_the_observation_becomes_the_poses_that_were_meant(
    form, axes, state_poses
) -> None:
    spec = robot(state_poses, rotation=form, relative_to="observed", axes=axes)
    part, meant = spec.pose_slices[0], path()
    there = Poses(*HAND.poses(Q[None], "tcp"))[0]
    rows = np.hstack([written(part, relative_to(part, meant, there)), np.ones((20, 1))])
    inner = Says(rows)
    policy = PosePolicy(inner, spec)
    request = PolicyRequest(observation=observation(spec), prompt="")
    got = policy.infer(request)
    size = ROTATION_SIZES[form]
    np.testing.assert_allclose(got[:, :3], meant.position, atol=1e-9)
    np.testing.assert_allclose(matrix_from(form, got[:, 3 : 3 + size]), meant.rotation, atol=1e-7)
    np.testing.assert_array_equal(got[:, -1], 1.0)
    # What guides the next answer is told to the network in its own words.
    guided = replace(request, guidance=Guidance(actions=got, weights=np.ones(20)))
    policy.infer(guided)
    asked = inner.asked[-1].guidance.actions
    np.testing.assert_allclose(asked[:, :3], rows[:, :3], atol=1e-7)
    np.testing.assert_allclose(
        matrix_from(form, asked[:, 3 : 3 + size]),
        matrix_from(form, rows[:, 3 : 3 + size]),
        atol=1e-7,
    )
    assert policy.spec.name == "says"
    policy.reset()
    assert inner.resets == 1


def test_steps_and_joints_pass_as_they_are() -> None:
    spec = robot(rotation="axis_angle", relative_to="command")
    rows = np.random.default_rng(0).normal(size=(5, 7))
    got = PosePolicy(Says(rows), spec).infer(
        PolicyRequest(observation=observation(spec), prompt="")
    )
    np.testing.assert_array_equal(got, rows)


def test_a_state_that_does_not_tell_where_the_link_is_is_refused() -> None:
    spec = robot(False, relative_to="observed")
    blind = spec.model_copy(
        update={"state": spec.state.model_copy(update={"vector": ("finger_joint",)})}
    )
    with pytest.raises(KinematicsError, match=r"nor joint1.*add it to state\.poses"):
        PosePolicy(Says(np.zeros((1, 10))), blind)


@given(
    form=st.sampled_from(sorted(ROTATION_SIZES)),
    seed=st.integers(0, 2**32 - 1),
    spin=st.floats(-0.3, 0.3),
)
def test_rotations_are_told_on_without_jumps_and_stay_what_they_are(form, seed, spin) -> None:
    dice = np.random.default_rng(seed)
    axis = dice.normal(size=3)
    axis /= np.linalg.norm(axis)
    start = matrix_from("axis_angle", dice.normal(size=3))
    turns = (dice.uniform(-4, 4) + spin * np.arange(40))[:, None] * axis
    matrices = matrix_from("axis_angle", turns) @ start
    plain = from_matrix(form, matrices)
    told = without_jumps(form, plain, None)
    np.testing.assert_allclose(matrix_from(form, told), matrices, atol=1e-7)
    if form == "quaternion":
        step = np.abs(np.diff(told, axis=0)).max(initial=0.0)
        assert step <= 0.5 * abs(spin) + 1e-9
    if form == "rpy":  # never further than the plain one
        plain_step = np.abs(np.diff(plain, axis=0)).sum(axis=1)
        assert (np.abs(np.diff(told, axis=0)).max(axis=1) <= plain_step + 1e-9).all()


@pytest.mark.parametrize("form", ["rpy", "axis_angle"])
def test_a_hand_that_turns_on_beyond_half_a_turn_is_told_on(form) -> None:
    yaw = np.linspace(2.5, 4.5, 30)
    turns = np.stack([0 * yaw, 0 * yaw, yaw], axis=1)
    rows = from_matrix(form, matrix_from("rpy", turns))
    np.testing.assert_allclose(without_jumps(form, rows, None)[:, 2], yaw, atol=1e-7)
    again = without_jumps(form, rows[20:], np.array([0.0, 0.0, yaw[19]]))
    np.testing.assert_allclose(again[:, 2], yaw[20:], atol=1e-7)
