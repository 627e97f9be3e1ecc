"""Arbitration: who of several commanders may move the robot.

The policy, through this bridge, is one of them. Others (teleoperation, a motion planner) command
the robot's controllers themselves: they take over for a lease that they renew, and the bridge is
silent meanwhile. Priorities stand in the robot file; a lease that runs out is a hand-back.
"""

from __future__ import annotations

from collections.abc import Mapping

from vla_ros.chunks import Refusal
from vla_ros.robot.near import did_you_mean

POLICY = "policy"


class Owners:
    """One owner at a time, by priority and lease.

    Args:
        priorities: Of each owner by name, ``policy`` among them; higher takes from lower.

    Attributes:
        external: The owner that is not the policy, else empty.
    """

    def __init__(self, priorities: Mapping[str, int]) -> None:
        self._priorities = dict(priorities)
        self._until_ns = 0
        self.external = ""

    def claim(self, owner: str, lease_ns: int, steady_ns: int, policy_runs: bool) -> Refusal | None:
        """Take or renew the robot for ``lease_ns`` of steady time.

        Args:
            owner: Who asks.
            lease_ns: For how long, in [ns]; longer by asking again.
            steady_ns: Steady time, in [ns].
            policy_runs: Whether the policy moves the robot now.

        Returns:
            None where the robot is theirs, else why not.
        """
        mine = self._priorities.get(owner)
        if mine is None or owner == POLICY:
            others = [name for name in self._priorities if name != POLICY]
            return Refusal(
                reason="mode",
                text=f"owner '{owner}' is unknown; the robot file has under owners: "
                f"{', '.join(others)}{did_you_mean(owner, others)}",
            )
        holder = self.external or (POLICY if policy_runs else "")
        if holder and holder != owner and self._priorities[holder] > mine:
            return Refusal(
                reason="mode",
                text=f"'{owner}' (priority {mine}) cannot take the robot from '{holder}' "
                f"({self._priorities[holder]}); wait until it gives it back",
            )
        self.external = owner
        self._until_ns = steady_ns + lease_ns
        return None

    def expired(self, steady_ns: int) -> bool:
        """Whether somebody has the robot whose lease is over."""
        return bool(self.external) and steady_ns > self._until_ns

    def release(self) -> None:
        """The robot is the policy's again."""
        self.external = ""
