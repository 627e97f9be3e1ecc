"""What stops the robot, and who else may move it, as the robot file says."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vla_ros.robot.spec.base import Name, Positive, Strict, to_ns


class WatchdogSpec(Strict):
    """What the bridge tolerates before it stops; ages on steady time."""

    joint_state_max_age_s: Positive = 0.25
    plan_max_age_s: Positive = 1.0
    clock_max_silence_s: Positive = 0.5

    @property
    def joint_state_max_age_ns(self) -> int:
        """Longest silence of the joint states."""
        return to_ns(self.joint_state_max_age_s)

    @property
    def plan_max_age_ns(self) -> int:
        """Oldest observation that a plan may come from."""
        return to_ns(self.plan_max_age_s)

    @property
    def clock_max_silence_ns(self) -> int:
        """How long ROS time may stand still while the robot moves."""
        return to_ns(self.clock_max_silence_s)


class EStopSpec(Strict):
    """Topic that says that an emergency stop is pressed.

    ``bool``: std_msgs/Bool, true while pressed. ``empty``: std_msgs/Empty, one for each press.
    ``max_age_s`` makes the topic a heartbeat: its silence stops the robot, too.
    """

    topic: Name
    kind: Literal["bool", "empty"] = "bool"
    max_age_s: Positive | None = None

    @model_validator(mode="after")
    def _beats(self) -> EStopSpec:
        if self.kind == "empty" and self.max_age_s is not None:
            raise ValueError(
                "estop kind: empty has no max_age_s: a message means pressed, so its silence "
                "means nothing; use kind: bool for a heartbeat"
            )
        return self

    @property
    def max_age_ns(self) -> int | None:
        """Longest silence, where there is a limit."""
        return None if self.max_age_s is None else to_ns(self.max_age_s)


class OwnersSpec(Strict):
    """Priorities of those who may command the robot; higher takes from lower."""

    policy: int = 10
    others: dict[Name, int] = Field(default_factory=lambda: {"planner": 20, "teleop": 30})

    @property
    def priorities(self) -> dict[str, int]:
        """By name."""
        return {**self.others, "policy": self.policy}
