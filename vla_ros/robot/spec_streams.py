"""The inputs of a robot file: cameras and the state vector."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vla_ros.robot.spec_base import Name, NonNegative, Positive, Strict, to_ns
from vla_ros.spaces import STATE_ANCHOR
from vla_ros.spaces.images import ImageTransform

OnLoss = Literal["skip", "hold", "stop"]


class _Stream(Strict):
    """What every input stream declares about its loss."""

    topic: Name
    tolerance_s: Positive
    on_loss: OnLoss
    max_age_s: Positive | None = None
    wait_s: NonNegative = 0.05

    @model_validator(mode="after")
    def _hold_has_an_end(self) -> _Stream:
        if (self.on_loss == "hold") != (self.max_age_s is not None):
            raise ValueError(
                "on_loss: hold and max_age_s go together: a hold needs a maximum age, "
                "and skip and stop have none"
            )
        return self

    @property
    def tolerance_ns(self) -> int:
        """Largest distance of a sample from its due time."""
        return to_ns(self.tolerance_s)

    @property
    def max_age_ns(self) -> int:
        """Oldest sample that ``on_loss: hold`` may use; 0 for skip and stop."""
        return to_ns(self.max_age_s or 0.0)

    @property
    def wait_ns(self) -> int:
        """How long an observation waits for this stream once the anchor is there."""
        return to_ns(self.wait_s)


class CameraSpec(_Stream):
    """One camera, from its topic to dataset space.

    ``latency_s`` is how much later than the capture the driver stamps the header (0 for drivers
    that stamp the capture); it is subtracted. ``frozen_motion`` is how far a joint may move [rad
    or m] while the pixels stay identical.
    """

    key: Name
    encoding: Literal["rgb8", "bgr8", "rgba8", "bgra8", "mono8"] = "rgb8"
    frame_id: Name
    latency_s: NonNegative = 0.0
    rate_hz: Positive
    raw_height: Annotated[int, Field(gt=0)]
    raw_width: Annotated[int, Field(gt=0)]
    crop: tuple[int, int, int, int] | None = None
    height: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]
    frozen_motion: Positive = 0.05

    @model_validator(mode="after")
    def _crop_inside(self) -> CameraSpec:
        if self.key == STATE_ANCHOR:
            raise ValueError(f"camera key '{STATE_ANCHOR}' is taken by the state stream; rename it")
        if self.crop is not None:
            x, y, w, h = self.crop
            inside = x + w <= self.raw_width and y + h <= self.raw_height
            if min(x, y) < 0 or min(w, h) < 1 or not inside:
                raise ValueError(
                    f"crop {list(self.crop)} (x, y, width, height) does not lie inside "
                    f"the raw image of {self.raw_width}x{self.raw_height}"
                )
        return self

    @property
    def latency_ns(self) -> int:
        """How much later than the capture the header is stamped."""
        return to_ns(self.latency_s)

    @property
    def transform(self) -> ImageTransform:
        """Raw image to dataset space."""
        return ImageTransform(crop=self.crop, height=self.height, width=self.width)


class StateSpec(_Stream):
    """The state vector: joint positions by name, in the order given here."""

    joints: Annotated[tuple[Name, ...], Field(min_length=1)]
