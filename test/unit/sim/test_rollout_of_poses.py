"""The scripted expert's task, told as poses of the hand: through inverse kinematics to the bin."""

from __future__ import annotations

import numpy as np
import pytest
from test_rollout import policy_spec

from vla_ros.policy.pose_policy import PosePolicy
from vla_ros.policy.protocol import PolicyRequest
from vla_ros.policy.runner import PolicyRunner
from vla_ros.robot.load import load_robot
from vla_ros.robot.poses.kinematics import Kinematics
from vla_ros.robot.poses.pose_values import Poses, relative_to, written
from vla_ros.robot.spec.robot import PoseSliceSpec, RobotSpec, spec_hash
from vla_ros.sim.expert_policy import ExpertPolicy
from vla_ros.sim.rollout import Episode, Rollout
from vla_ros.sim.truth import Target

pytestmark = pytest.mark.slow
SPEC = load_robot("sim_arm_ee")
HAND = Kinematics(SPEC.urdf_text, SPEC.output("arm").joints, "base_link")


def robot(**hand) -> RobotSpec:
    part = PoseSliceSpec.model_validate(SPEC.pose_slices[0].model_dump() | hand)
    return SPEC.model_copy(update={"action": (part, *SPEC.action[1:])})


class HandExpert(ExpertPolicy):
    """The expert, who says where the hand goes instead of the joints."""

    def __init__(self, spec, part: PoseSliceSpec) -> None:
        super().__init__(spec)
        self._part = part

    def infer(self, request: PolicyRequest) -> np.ndarray:
        rows = super().infer(request)
        poses = Poses(*HAND.poses(rows[:, :6], "tcp"))
        if self._part.relative_to == "observed":
            there = Poses(*HAND.poses(request.observation.state[None, :6], "tcp"))[0]
            poses = relative_to(self._part, poses, there)
        elif self._part.relative_to == "command":
            steps = relative_to(self._part, poses[1:], poses[:-1])
            poses = Poses(*(np.concatenate([v[:1], v]) for v in (steps.position, steps.rotation)))
        return np.hstack([written(self._part, poses), rows[:, 6:]])


@pytest.mark.parametrize(
    "hand",
    [
        {"rotation": "sixd"},
        {"rotation": "quaternion", "relative_to": "observed"},
        {"rotation": "axis_angle", "relative_to": "command", "axes": "frame"},
    ],
    ids=lambda hand: hand.get("relative_to", "absolute"),
)
def test_a_cube_comes_into_its_bin_by_poses_of_the_hand(hand) -> None:
    spec = robot(**hand)
    said = policy_spec(spec)
    policy = PosePolicy(HandExpert(said, spec.pose_slices[0]), spec)
    runner = PolicyRunner(
        said, spec.action_space(), execute_ns=100_000_000, spec_hash=spec_hash(spec)
    )
    rollout = Rollout(spec, said.contract, images="blank")
    episode = Episode(
        seed=11,
        target=Target(cube="red cube", bin="yellow bin"),
        prompt="put the red cube in the yellow bin",
    )
    result = rollout.run(episode, policy, runner)
    assert result.success, result
    assert (result.refused, result.stop) == (0, ""), result
