"""When to infer, and from when on the answer replaces the plan before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vla_ros.chunks.plan import Plan

LANDING_NS = 100_000_000  # how long before its end a plan may have begun to slow down visibly

Joining = Literal["sync", "blend", "ensemble", "rtc"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The rhythm of inference.

    ``sync``: infer when the plan has ended; the robot holds meanwhile, by design. All others infer
    every ``execute_ns``, while the plan before is still being executed.

    Attributes:
        joining: How chunks are joined.
        execute_ns: The time between two inference starts, in ``sync`` how much of each chunk is
            executed, in [ns].
        period_ns: One control period of the bridge, in [ns].
    """

    joining: Joining
    execute_ns: int
    period_ns: int

    def __post_init__(self) -> None:
        if self.execute_ns <= 0 or self.period_ns <= 0:
            raise ValueError(
                "a schedule needs execute_ns > 0 and period_ns > 0, "
                f"got {self.execute_ns} and {self.period_ns}"
            )

    def due(self, now_ns: int, plan: Plan | None, delay_ns: int, last_start_ns: int | None) -> bool:
        """Whether it is time to infer.

        Args:
            now_ns: ROS time, in [ns].
            plan: The plan in force, if any.
            delay_ns: How much later than its stamps that plan is being executed, in [ns].
            last_start_ns: When the last inference of this run started, in [ns].
        """
        if plan is None or last_start_ns is None:
            return True
        if self.joining == "sync":
            return now_ns >= plan.end_ns + delay_ns
        return now_ns >= last_start_ns + self.execute_ns

    def valid_from_ns(self, publish_ns: int, plan: Plan | None, delay_ns: int) -> int:
        """From when a chunk published at ``publish_ns`` replaces ``plan``, in [ns]."""
        if self.joining == "sync" and plan is not None:
            return plan.end_ns + delay_ns
        return publish_ns + self.period_ns

    def late(self, valid_from_ns: int, plan: Plan | None, delay_ns: int) -> bool:
        """Whether the plan before runs out before the new one can take over.

        Never in ``sync``, where the robot waits for each chunk.
        """
        return (
            self.joining != "sync" and plan is not None and valid_from_ns > plan.end_ns + delay_ns
        )

    def needed_ns(self, age_ns: int, response_ns: int) -> int:
        """How long a plan must last from its row 0 on, for its successor to come in time, in [ns].

        Args:
            age_ns: Start of its inference minus the due time of its row 0, in [ns].
            response_ns: From the start of an inference to its takeover, in [ns].
        """
        if self.joining == "sync":
            return 0
        return age_ns + max(self.execute_ns, response_ns) + response_ns + LANDING_NS

    def executed_rows(self, horizon: int, start_ns: int, dt_ns: int, publish_ns: int) -> int:
        """How many rows of a fresh chunk to keep: in ``sync`` those due in ``execute_ns``."""
        if self.joining != "sync":
            return horizon
        wanted = -(-(publish_ns + self.execute_ns - start_ns) // dt_ns) + 1
        return max(1, min(horizon, wanted))
