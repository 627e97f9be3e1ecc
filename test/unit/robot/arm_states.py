"""The simulated arm without cameras, with whatever state it is to have."""

from __future__ import annotations

from typing import Any

from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.spaces import TimeContract

MS = 1_000_000
BASE = load_robot("sim_arm")
CONTRACT = TimeContract(
    image_latency_ns={}, state_at="capture", action_offset_ns=0, dt_ns=50 * MS,
    interpolation="linear",
)  # fmt: skip
LOSS = {"tolerance_s": 0.05, "on_loss": "skip"}


def robot(**state: Any) -> RobotSpec:
    """A robot without cameras; its limits know the arm."""
    values = BASE.model_dump()
    values["cameras"], values["anchor"], values["poses"] = (), "state", {}
    values["state"] = {"topic": "/joint_states", **LOSS, **state}
    return RobotSpec.model_validate(values)
