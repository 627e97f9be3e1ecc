"""A small synchroniser with two cameras and a state, and samples that say when they were taken."""

from __future__ import annotations

from typing import Any

import numpy as np

from vla_ros.spaces import TimeContract
from vla_ros.sync import Frame, StreamConfig, Synchroniser

MS = 1_000_000


def contract(**changes: Any) -> TimeContract:
    settings: dict[str, Any] = {
        "image_latency_ns": {"front": 0, "wrist": 0},
        "state_at": "capture",
        "action_offset_ns": 0,
        "dt_ns": 50 * MS,
        "interpolation": "linear",
    }
    return TimeContract(**{**settings, **changes})


def streams(**changes: dict[str, Any]) -> list[StreamConfig]:
    configs: dict[str, dict[str, Any]] = {
        "front": {"strategy": "nearest", "frozen_motion": 0.05},
        "wrist": {"strategy": "nearest", "frozen_motion": 0.05},
        "state": {"strategy": "interpolate"},
    }
    return [
        StreamConfig(
            **{
                "name": name,
                "tolerance_ns": 20 * MS,
                "on_loss": "skip",
                "wait_ns": 30 * MS,
                "source": f"/{name}",
                **config,
                **changes.get(name, {}),
            }
        )
        for name, config in configs.items()
    ]


def synchroniser(
    time_contract: TimeContract | None = None,
    anchor: str = "front",
    **changes: dict[str, Any],
) -> Synchroniser:
    return Synchroniser(
        time_contract or contract(), anchor, streams(**changes), max_age_ns=300 * MS
    )


def picture(stamp_ns: int) -> Frame:
    """A picture whose pixels spell its stamp."""
    pixels = np.frombuffer((stamp_ns % 2**63).to_bytes(8, "little"), np.uint8)
    rgb = np.zeros((2, 2, 3), dtype=np.uint8)
    rgb.flat[:8] = pixels
    return Frame(rgb)


def shown(rgb: np.ndarray) -> int:
    """The stamp that the pixels spell."""
    return int.from_bytes(rgb.flat[:8].tobytes(), "little")


def position(t_ns: float) -> np.ndarray:
    """Joints that move linearly, so that interpolation must be exact."""
    return np.array([t_ns / MS, -2.0 * t_ns / MS])


def feed(
    sync: Synchroniser, until_ms: int, *, skip: tuple[str, ...] = (), start_ms: int = 10
) -> None:
    """States each 10 ms and pictures each 50 ms, arriving at their stamp."""
    for t in range(start_ms, until_ms + 1, 10):
        if "state" not in skip:
            sync.push("state", t * MS, position(t * MS), t * MS)
        for camera in ("front", "wrist"):
            if t % 50 == 0 and camera not in skip:
                sync.push(camera, t * MS, picture(t * MS), t * MS)
