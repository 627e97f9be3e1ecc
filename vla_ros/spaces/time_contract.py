"""The time contract: when the parts of one training row happened, relative to each other.

A dataset made by a recording loop pairs an image captured a latency ``L`` ago with the state
read now and the action sent now; a dataset made from stamped messages pairs all three at the
capture. A policy inherits that pairing, so the contract travels from dataset to checkpoint
and says, for a live image, when the state must be taken and when each action is due::

    capture of the anchor --- L[anchor] ---> decision --- action_offset ---> row 0, row 1, ...

Action timestamps as in Chi et al., "Universal Manipulation Interface", RSS 2024, whose two
parameters (action offset and latency) this generalises to several cameras.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from vla_ros.errors import VlaError

StateAt = Literal["capture", "decision"]
Interpolation = Literal["hold", "linear"]

STATE_ANCHOR = "state"
"""Name of the state stream, which anchors observations of a robot without cameras."""

OWN_DT_NS = 50_000_000
"""Between two rows of this package's own recordings."""

_KEYS = ("image_latency_s", "state_at", "action_offset_s", "dt_s", "interpolation")


class TimeContractError(VlaError):
    """A time contract is malformed, or knows nothing of a camera it is asked about."""


@dataclass(frozen=True, kw_only=True)
class TimeContract:
    """Timing of one training row. All times are integer nanoseconds.

    Attributes:
        image_latency_ns: per camera, how long before the decision its image was captured.
        state_at: the state belongs to the anchor's capture or to the decision.
        action_offset_ns: due time of row 0 after the decision (may be negative).
        dt_ns: time from one row to the next.
        interpolation: ``hold``: row k acts over [t_k, t_k + dt); ``linear``: at t_k.

    Raises:
        TimeContractError: a latency is negative, ``dt_ns`` not positive, a choice unknown.
    """

    image_latency_ns: Mapping[str, int]
    state_at: StateAt
    action_offset_ns: int
    dt_ns: int
    interpolation: Interpolation

    def __post_init__(self) -> None:
        for camera, latency in self.image_latency_ns.items():
            if latency < 0:
                raise TimeContractError(
                    f"image_latency of camera '{camera}' is {latency} ns; expected 0 or more: "
                    "an image cannot be captured after the decision taken from it"
                )
        if self.dt_ns <= 0:
            raise TimeContractError(f"dt is {self.dt_ns} ns; expected more than 0")
        _choice("state_at", self.state_at, get_args(StateAt))
        _choice("interpolation", self.interpolation, get_args(Interpolation))
        object.__setattr__(self, "image_latency_ns", MappingProxyType(dict(self.image_latency_ns)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            TimeContract.from_ns,
            (
                dict(self.image_latency_ns),
                self.state_at,
                self.action_offset_ns,
                self.dt_ns,
                self.interpolation,
            ),
        )

    @classmethod
    def at_capture(cls, cameras: Iterable[str], dt_ns: int = OWN_DT_NS) -> TimeContract:
        """The contract of this package's own recordings: image, state and row 0 at the capture."""
        return cls(
            image_latency_ns=dict.fromkeys(cameras, 0),
            state_at="capture",
            action_offset_ns=0,
            dt_ns=dt_ns,
            interpolation="linear",
        )

    @classmethod
    def from_ns(
        cls,
        image_latency_ns: Mapping[str, int],
        state_at: StateAt,
        action_offset_ns: int,
        dt_ns: int,
        interpolation: Interpolation,
    ) -> TimeContract:
        """Build from positional values (what pickling needs)."""
        return cls(
            image_latency_ns=image_latency_ns,
            state_at=state_at,
            action_offset_ns=action_offset_ns,
            dt_ns=dt_ns,
            interpolation=interpolation,
        )

    def latency_ns(self, camera: str) -> int:
        """Latency the training images of ``camera`` carried.

        Raises:
            TimeContractError: the contract does not know the camera.
        """
        if camera in self.image_latency_ns:
            return self.image_latency_ns[camera]
        if camera == STATE_ANCHOR:
            return 0
        known = ", ".join(self.image_latency_ns) or "none"
        raise TimeContractError(
            f"the time contract has no image latency for camera '{camera}'; it has: {known}. "
            "Declare the camera under image_latency_s"
        )

    def decision_ns(self, anchor: str, capture_ns: int) -> int:
        """When the decision belonging to the anchor's image is taken."""
        return capture_ns + self.latency_ns(anchor)

    def image_due_ns(self, camera: str, decision_ns: int) -> int:
        """When the image of ``camera`` belonging to a decision should have been captured."""
        return decision_ns - self.latency_ns(camera)

    def state_due_ns(self, anchor: str, capture_ns: int) -> int:
        """When the state belonging to the anchor's image should be taken."""
        return capture_ns if self.state_at == "capture" else self.decision_ns(anchor, capture_ns)

    def start_ns(self, anchor: str, capture_ns: int) -> int:
        """When row 0 of the chunk inferred from the anchor's image is due."""
        return self.decision_ns(anchor, capture_ns) + self.action_offset_ns

    def to_dict(self) -> dict[str, Any]:
        """Plain values with times in seconds, as stored beside datasets and checkpoints."""
        return {
            "image_latency_s": {c: ns / 1e9 for c, ns in self.image_latency_ns.items()},
            "state_at": self.state_at,
            "action_offset_s": self.action_offset_ns / 1e9,
            "dt_s": self.dt_ns / 1e9,
            "interpolation": self.interpolation,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TimeContract:
        """Inverse of ``to_dict``.

        Raises:
            TimeContractError: a key is missing or unknown, or a time is no finite number.
        """
        if set(values) != set(_KEYS):
            missing = ", ".join(k for k in _KEYS if k not in values) or "none"
            unknown = ", ".join(sorted(set(values) - set(_KEYS))) or "none"
            raise TimeContractError(
                f"time contract: expected the keys {', '.join(_KEYS)}; "
                f"missing: {missing}; unknown: {unknown}"
            )
        latencies = values["image_latency_s"]
        if not isinstance(latencies, Mapping):
            raise TimeContractError(f"image_latency_s: expected camera: seconds, got {latencies!r}")
        return cls(
            image_latency_ns={str(c): _ns(f"image_latency_s.{c}", s) for c, s in latencies.items()},
            state_at=values["state_at"],
            action_offset_ns=_ns("action_offset_s", values["action_offset_s"]),
            dt_ns=_ns("dt_s", values["dt_s"]),
            interpolation=values["interpolation"],
        )


def _ns(key: str, seconds: Any) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TimeContractError(f"{key}: expected seconds as a number, got {seconds!r}")
    if not math.isfinite(seconds):
        raise TimeContractError(f"{key}: expected finite seconds, got {seconds}")
    return round(seconds * 1e9)


def _choice(key: str, got: str, choices: tuple[str, ...]) -> None:
    if got not in choices:
        raise TimeContractError(f"{key} is {got!r}; expected one of {', '.join(choices)}")
