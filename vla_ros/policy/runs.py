"""What is said about runs: the goal of a client, the bridge's state, how a run began and ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vla_ros.policy.runner import MAX_SPEED, MIN_SPEED, RunStats

RunOutcome = Literal["SUCCEEDED", "FAILED", "REFUSED", "TIMED_OUT", "STOPPED", "CANCELED"]


@dataclass(frozen=True, kw_only=True)
class RunGoal:
    """What a client of `run_policy` asks for.

    Attributes:
        run_id: The goal's UUID. 16 bytes.
        prompt: What to do, in words the policy was trained on.
        time_limit_ns: ROS time after which the run ends, in [ns]; 0: the default.
        speed: 1 as trained, 0.5 half as fast. 0.1 to 2.
        seed: Of the policy's noise; None: random.
        hold_at_end: Hold the last commanded position at the end.
        continue_motion: Take over from the current run without a stop.
    """

    run_id: bytes
    prompt: str
    time_limit_ns: int = 0
    speed: float = 1.0
    seed: int | None = None
    hold_at_end: bool = True
    continue_motion: bool = False

    @property
    def problem(self) -> str:
        """Why it makes no sense, whatever the robot does; empty where it does."""
        if not self.prompt.strip():
            return "the prompt is empty, expected words the policy was trained on"
        if not MIN_SPEED <= self.speed <= MAX_SPEED:
            return f"speed is {self.speed:g}, expected {MIN_SPEED} to {MAX_SPEED}"
        if self.time_limit_ns < 0:
            return f"time_limit is {self.time_limit_ns / 1e9:g} s, expected 0 (default) or more"
        return ""


@dataclass(frozen=True, kw_only=True)
class BridgeView:
    """What the desk needs to know of BridgeStatus."""

    epoch: int
    enabled: bool
    stopped: bool
    stop_text: str = ""
    hindrance: str = ""
    owner: str = ""


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """The bridge must learn that this run is current."""

    goal: RunGoal
    epoch: int
    continues: bool


@dataclass(frozen=True, kw_only=True)
class RunEnded:
    """A goal has its outcome.

    Attributes:
        epoch: The epoch it ran in; None when it never started.
        taken_over: Another run continues the motion, so the bridge must not brake.
    """

    goal: RunGoal
    outcome: RunOutcome
    message: str
    stats: RunStats
    duration_ns: int
    epoch: int | None
    taken_over: bool = False
