"""Who may move the robot now: the enable gate, the epoch, stops and other owners."""

from __future__ import annotations

from vla_ros.chunks import Refusal
from vla_ros.robot.command.commands import StopReason
from vla_ros.robot.command.owners import Owners


class Gate:
    """The few flags that decide whether anything may move, and the epoch that fences the past.

    The epoch is a uint32 and is raised at every stop, takeover, clock jump and activation; a plan
    computed under another one is dropped.

    Args:
        epoch: First epoch. A bridge that restarts must not come back with one it had before, so
            the node draws it at random.
        enabled: Whether the robot may move from the start (simulators only).
        dry_run: Compute everything, send nothing.
        owners: Who else may move the robot.

    Attributes:
        enabled: Whether the robot may move at all.
        dry_run: As given.
        owners: Who has the robot, if it is not ours.
        stop_reason: Kind of the stop that holds the robot, else ``none``.
        stop_text: What, expected, got, what to do; empty without a stop.
        unfollowed: Why commands would not be followed, else empty.
        unseen: Why it is not known where the robot is, else empty.
    """

    def __init__(self, *, epoch: int, enabled: bool, dry_run: bool, owners: Owners) -> None:
        self._epoch = epoch % 2**32
        self.enabled = enabled
        self.dry_run = dry_run
        self.owners = owners
        self.stop_reason: StopReason = "none"
        self.stop_text = ""
        self.unfollowed = ""
        self.unseen = ""

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self._epoch

    @property
    def external(self) -> str:
        """Name of the other owner while there is one, else empty."""
        return self.owners.external

    @property
    def hindrance(self) -> str:
        """Why nothing may begin before it heals by itself, else empty."""
        return self.unseen or self.unfollowed

    @property
    def stopped(self) -> bool:
        """Whether a stop holds the robot until resume."""
        return self.stop_reason != "none"

    @property
    def closed(self) -> bool:
        """Whether nothing of ours may move the robot."""
        return self.stopped or bool(self.external or self.hindrance) or not self.enabled

    def raise_epoch(self) -> None:
        """Make everything computed so far worthless."""
        self._epoch = (self._epoch + 1) % 2**32

    def latch(self, reason: StopReason, text: str) -> None:
        """Hold the robot until resume; the first reason stays."""
        if not self.stopped:
            self.stop_reason, self.stop_text = reason, text

    def unlatch(self) -> None:
        """Let the robot move again."""
        self.stop_reason, self.stop_text = "none", ""

    def refusal(self, what: str) -> Refusal | None:
        """Why ``what`` may not move the robot now, if it may not."""
        if self.stopped:
            text = f"the robot is stopped ({self.stop_text}); call resume first"
        elif self.external:
            text = f"'{self.external}' commands the robot; wait until it gives it back"
        elif not self.enabled:
            text = "the robot is not enabled; call enable first"
        elif self.hindrance:
            text = f"the robot's side is not ready ({self.hindrance}); wait, or mend that"
        else:
            return None
        return Refusal(reason="mode", text=f"{what} refused: {text}")
