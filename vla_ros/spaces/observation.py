"""One observation: what the policy sees, and how far each part is from the instant it describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

StreamState = Literal["OK", "HELD", "INTERPOLATED", "STALE", "FROZEN", "MISSING"]


@dataclass(frozen=True, kw_only=True)
class StreamReport:
    """How one stream took part in an observation.

    Attributes:
        name: camera key, or ``state``.
        state: OK (a sample within tolerance), INTERPOLATED (between two samples), HELD (an older
            sample under ``on_loss: hold``), STALE (samples too far away), FROZEN (the same pixels
            or stamp while the robot moved), MISSING (no sample at all).
        stamp_ns: instant that the value used describes; 0 where there is none.
        offset_ns: ``stamp_ns`` minus the instant that the time contract asks for, signed;
            0 outside an observation.
        age_ns: now minus ``stamp_ns``.
        rate_hz: how many samples came a second lately, on average; 0 while there is one or none.
        drops: samples refused on arrival so far (duplicate, zero, future or too old stamps,
            wrong size or names).
    """

    name: str
    state: StreamState
    stamp_ns: int
    offset_ns: int
    age_ns: int
    rate_hz: float
    drops: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """Everything the policy is shown for one decision. Arrays are read-only.

    Attributes:
        seq: counts observations, to see gaps; never used for time.
        t_obs_ns: capture time of the anchor's image, ROS time.
        start_ns: due time of row 0 of a chunk inferred from this, by the time contract.
        images: per camera key, RGB in dataset space, uint8. Shape (H, W, 3).
        image_stamps_ns: per camera key, capture time of the image used.
        state: SI units, robot-file order, float64. Shape (S,).
        state_stamp_ns: instant that the state describes.
        streams: one report per stream, anchor first.
    """

    seq: int
    t_obs_ns: int
    start_ns: int
    images: Mapping[str, npt.NDArray[np.uint8]]
    image_stamps_ns: Mapping[str, int]
    state: npt.NDArray[np.float64]
    state_stamp_ns: int
    streams: tuple[StreamReport, ...]
