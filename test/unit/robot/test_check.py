from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vla_ros.policy.protocol import PolicySpec
from vla_ros.robot.check import OriginMismatch, PolicyMismatchError, check_origin, check_policy
from vla_ros.robot.load import load_robot
from vla_ros.spaces import Observation, TimeContract

ROBOT = load_robot("sim_arm")


def contract(**changes: Any) -> TimeContract:
    settings: dict[str, Any] = {
        "image_latency_ns": {"front": 0, "wrist": 0},
        "state_at": "capture",
        "action_offset_ns": 0,
        "dt_ns": 50_000_000,
        "interpolation": "linear",
    }
    return TimeContract(**{**settings, **changes})


def policy(**changes: Any) -> PolicySpec:
    settings: dict[str, Any] = {
        "name": "nano",
        "model_id": "test",
        "camera_keys": ("front", "wrist"),
        "image_size": (96, 96),
        "state_names": ROBOT.state_space().names,
        "action_names": ROBOT.action_space().names,
        "horizon": 16,
        "contract": contract(),
    }
    return PolicySpec(**{**settings, **changes})


def test_a_policy_that_fits_passes() -> None:
    check_policy(ROBOT, policy())
    check_policy(ROBOT, policy(camera_keys=("wrist",)))


JOINTS = ROBOT.state_space().names


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"camera_keys": ("front", "top")}, "camera 'top': the policy needs it; the robot has fr"),
        ({"image_size": (96, 128)}, "trained on 128x96 (width x height), the robot file makes 96x"),
        ({"state_names": JOINTS[:-1]}, "the policy does not know finger_joint"),
        ({"state_names": (*JOINTS, "lift")}, "the robot lacks lift"),
        ({"state_names": JOINTS[::-1]}, "the order differs"),
        ({"action_names": ("x", "y")}, "action: the policy has 2 elements ['x', 'y'], the robot 7"),
        (
            {"contract": contract(image_latency_ns={"front": 0})},
            "no image latency for camera 'wrist'",
        ),
        ({"contract": contract(dt_ns=5_000_000)}, "closer than the control period"),
        ({"horizon": 0}, "expected at least 1"),
    ],
)
def test_a_mismatch_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyMismatchError) as caught:
        check_policy(ROBOT, policy(**changes))
    assert words in str(caught.value)


def test_every_mismatch_is_listed_at_once() -> None:
    with pytest.raises(PolicyMismatchError) as caught:
        check_policy(
            ROBOT,
            policy(
                image_size=(64, 64),
                state_names=("a",),
                action_names=("b",),
                contract=contract(image_latency_ns={}, dt_ns=1),
            ),
        )
    # Two image sizes, state, action, two latencies, dt.
    assert str(caught.value).count("\n  - ") == 7


def observed(start_ns: int) -> Observation:
    return Observation(
        seq=0,
        t_obs_ns=10**9,
        start_ns=start_ns,
        images={},
        image_stamps_ns={},
        state=np.zeros(0),
        state_stamp_ns=10**9,
        streams=(),
    )


def test_an_observation_under_the_policys_time_contract_passes() -> None:
    late = contract(image_latency_ns={"front": 80_000_000}, action_offset_ns=20_000_000)
    check_origin(observed(1_100_000_000), 7, 7, "front", late)


def test_an_observation_under_another_time_contract_is_refused() -> None:
    late = contract(image_latency_ns={"front": 80_000_000}, action_offset_ns=20_000_000)
    with pytest.raises(OriginMismatch, match=r"due 0\.000 s after.*expected 0\.100 s.*'policy'"):
        check_origin(observed(10**9), 7, 7, "front", late)


def test_an_observation_of_another_robot_file_is_refused() -> None:
    with pytest.raises(OriginMismatch, match="same robot file"):
        check_origin(observed(10**9), 7, 8, "front", contract())
