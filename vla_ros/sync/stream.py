"""What one stream declares: how it is matched, how far off it may be, what its loss means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vla_ros.sync.blend import Blend
from vla_ros.sync.matching import Strategy
from vla_ros.sync.refusal import Consequence

OnLoss = Literal["skip", "hold", "stop"]
ClockSource = Literal["header", "receive"]


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """One stream of the synchroniser.

    Attributes:
        name: camera key, ``state``, or ``state/<source>`` for what is joined to the state.
        strategy: how a sample is chosen for its due time.
        tolerance_ns: largest distance of a sample used from its due time.
        on_loss: ``skip`` the observation, ``hold`` an older sample, or ``stop`` the robot.
        clock: the header's stamp says when a sample was taken, or its arrival does.
        latency_ns: how much later than the sample was taken that clock reads; subtracted.
        pairs: how far this stream's sample may be from that of another stream, beyond what the
            time contract puts between them. Samples under ``hold`` are exempt.
        max_age_ns: oldest sample (before its due time) that ``hold`` may use; 0 otherwise.
        wait_ns: how long an observation waits for a sample that can still arrive, from the
            arrival of the anchor or the due time, whichever is later.
        frozen_motion: identical pictures while the state changed by more than this are refused;
            None for vectors.
        places: how many of the first elements of this vector say where the robot is, so that a
            change of them means that it moved; None: all.
        blend: how a vector is interpolated.
        history_age_ns: how long samples are kept.
        history_count: how many samples are kept.
        future_ns: how far a stamp may lie ahead of now.
        source: where the samples come from (a topic), for messages.
    """

    name: str
    strategy: Strategy
    tolerance_ns: int
    on_loss: OnLoss
    clock: ClockSource = "header"
    latency_ns: int = 0
    pairs: Mapping[str, int] = field(default_factory=dict)
    max_age_ns: int = 0
    wait_ns: int = 50_000_000
    frozen_motion: float | None = None
    places: int | None = None
    blend: Blend = field(default_factory=Blend)
    history_age_ns: int = 2_000_000_000
    history_count: int = 2048
    future_ns: int = 50_000_000
    source: str = ""

    def __post_init__(self) -> None:
        if (self.on_loss == "hold") != (self.max_age_ns > 0):
            raise ValueError(f"stream '{self.name}': on_loss hold and max_age go together")
        if self.is_camera and self.strategy == "interpolate":
            raise ValueError(
                f"stream '{self.name}': there is no picture between two pictures; "
                "expected nearest or before"
            )

    @property
    def is_camera(self) -> bool:
        """Does this stream carry pictures?"""
        return self.frozen_motion is not None

    @property
    def consequence(self) -> Consequence:
        """What a loss leads to once nothing may be held any more."""
        return "skip" if self.on_loss == "skip" else "stop"

    def taken_ns(self, stamp_ns: int, now_ns: int) -> int:
        """When a sample stamped so and arriving now was taken; 0 or less where nobody knows."""
        read_ns = stamp_ns if self.clock == "header" else now_ns
        return read_ns - self.latency_ns if read_ns > 0 else read_ns
