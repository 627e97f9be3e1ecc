"""Is the robot's speed slider known? Plans are executed only while it is."""

from __future__ import annotations

import math

from vla_ros.robot.command.watchdogs import Alarm
from vla_ros.robot.spec.speed_scaling import SpeedScalingSpec


class SpeedScalingWatch:
    """What the slider's topic last said, and when.

    Args:
        spec: The topic; None: the robot has no slider.
    """

    def __init__(self, spec: SpeedScalingSpec | None) -> None:
        self._spec = spec
        self._heard_ns: int | None = None
        self._refused = ""

    def heard(self, value: float, steady_ns: int) -> float | None:
        """Take note of a message.

        Returns:
            The speed against full speed, 0 to 1; None where the message makes no sense, which
            counts as silence.
        """
        assert self._spec is not None  # nobody listens otherwise
        factor = value / self._spec.full_speed
        if not (math.isfinite(factor) and 0.0 <= factor <= 1.0):
            self._refused = (
                f"; the last message said {value:g}, expected 0 to {self._spec.full_speed:g}, "
                "check its kind in the robot file"
            )
            return None
        self._heard_ns, self._refused = steady_ns, ""
        return factor

    def alarm(self, steady_ns: int) -> Alarm | None:
        """Why nothing may move, if there is a reason."""
        if self._spec is None:
            return None
        age_ns = None if self._heard_ns is None else steady_ns - self._heard_ns
        if age_ns is not None and age_ns <= self._spec.max_age_ns:
            return None
        silence = (
            "has said nothing yet" if age_ns is None else f"is silent for {age_ns / 1e9:.3f} s"
        )
        return (
            "stream",
            f"the speed slider's topic '{self._spec.topic}' {silence}, expected a message every "
            f"{self._spec.max_age_s:g} s or sooner{self._refused}; start its publisher, then "
            "resume if the robot is stopped",
        )
