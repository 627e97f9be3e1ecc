"""The scripted expert for the policy node: the simulator's truth by topic, behind the protocol."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.sim.expert_policy import ExpertPolicy
from vla_ros.sim.truth import SimTruth
from vla_ros.spaces import TimeContract

HORIZON = 16
TRUTH_WAIT_S = 0.5


def expert_spec(robot: RobotSpec) -> PolicySpec:
    """What the expert gives: the time contract of our own recordings."""
    return PolicySpec(
        name="expert",
        model_id="expert",
        camera_keys=(),
        image_size=(0, 0),
        state_names=robot.state_space().names,
        action_names=robot.action_space().names,
        horizon=HORIZON,
        contract=TimeContract.at_capture(robot.camera_keys),
    )


class TopicExpert:
    """Waits a moment for the truth of an observation: the two travel on different topics.

    Args:
        robot: The robot file.
        noise_rad: Standard deviation of the noise on its actions, in [rad].
    """

    def __init__(self, robot: RobotSpec, *, noise_rad: float) -> None:
        self._spec = expert_spec(robot)
        self._expert = ExpertPolicy(self._spec, noise_rad=noise_rad)
        self._arrived = threading.Condition()
        self._latest_ns = -1

    @property
    def spec(self) -> PolicySpec:
        """What it gives."""
        return self._spec

    def push_truth(self, truth: SimTruth) -> None:
        """Called by the node's executor while `infer` runs in its thread."""
        with self._arrived:
            self._expert.push_truth(truth)
            self._latest_ns = truth.stamp_ns
            self._arrived.notify_all()

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """One chunk from the true state at the observation. Shape (T, A).

        Raises:
            SimError: The truth never came, or the prompt cannot be read.
        """
        stamp_ns = request.observation.t_obs_ns
        with self._arrived:
            self._arrived.wait_for(lambda: self._latest_ns >= stamp_ns, TRUTH_WAIT_S)
        return self._expert.infer(request)

    def reset(self) -> None:
        """Nothing to forget."""

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def close(self) -> None:
        """Nothing to free."""
