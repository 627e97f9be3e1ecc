"""The emergency stop that the robot's side publishes, as the bridge hears it.

It stops commands; it is not the emergency stop itself, which is hardware.
"""

from __future__ import annotations

from vla_ros.robot.command.watchdogs import Alarm


class EStopWatch:
    """Pressed, released, or silent.

    Args:
        max_age_ns: Longest silence of the topic on steady time, in [ns], where it is a heartbeat;
            None where it is published on change only.
    """

    def __init__(self, max_age_ns: int | None) -> None:
        self._max_age_ns = max_age_ns
        self._pressed = False
        self._since_ns: int | None = None

    def heard(self, pressed: bool, steady_ns: int) -> None:
        """Take note of a message."""
        self._pressed = pressed
        self._since_ns = steady_ns

    def alarm(self, steady_ns: int) -> Alarm | None:
        """Why nothing may move, if there is a reason."""
        if self._pressed:
            return ("estop", "the emergency stop is pressed; release it, then resume")
        if self._max_age_ns is None:
            return None
        if self._since_ns is None:
            return (
                "estop",
                "the emergency stop's topic has said nothing yet; start its publisher, then resume",
            )
        age_ns = steady_ns - self._since_ns
        if age_ns <= self._max_age_ns:
            return None
        return (
            "estop",
            f"the emergency stop's topic is silent for {age_ns / 1e9:.3f} s, expected a message "
            f"every {self._max_age_ns / 1e9:.3f} s or sooner; check its publisher, then resume",
        )
