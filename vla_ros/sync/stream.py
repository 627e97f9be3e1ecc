"""What one stream declares: how it is matched, how far off it may be, what its loss means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vla_ros.sync.matching import Strategy
from vla_ros.sync.refusal import Consequence

OnLoss = Literal["skip", "hold", "stop"]


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """One stream of the synchroniser.

    Attributes:
        name: camera key, or ``state``.
        strategy: how a sample is chosen for its due time.
        tolerance_ns: largest distance of a sample used from its due time.
        on_loss: ``skip`` the observation, ``hold`` an older sample, or ``stop`` the robot.
        max_age_ns: oldest sample (before its due time) that ``hold`` may use; 0 otherwise.
        wait_ns: how long an observation waits for a sample that can still arrive, from the
            arrival of the anchor or the due time, whichever is later.
        frozen_motion: identical pictures while the state changed by more than this are refused;
            None for streams that are no cameras.
        history_age_ns: how long samples are kept.
        history_count: how many samples are kept.
        future_ns: how far a stamp may lie ahead of now.
        source: where the samples come from (a topic), for messages.
    """

    name: str
    strategy: Strategy
    tolerance_ns: int
    on_loss: OnLoss
    max_age_ns: int = 0
    wait_ns: int = 50_000_000
    frozen_motion: float | None = None
    history_age_ns: int = 2_000_000_000
    history_count: int = 2048
    future_ns: int = 50_000_000
    source: str = ""

    def __post_init__(self) -> None:
        if (self.on_loss == "hold") != (self.max_age_ns > 0):
            raise ValueError(f"stream '{self.name}': on_loss hold and max_age go together")

    @property
    def consequence(self) -> Consequence:
        """What a loss leads to once nothing may be held any more."""
        return "skip" if self.on_loss == "skip" else "stop"
