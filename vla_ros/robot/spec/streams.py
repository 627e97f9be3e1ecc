"""The inputs of a robot file: what every stream declares, and the cameras."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vla_ros.robot.senses.bridged_images import BridgedEncoding
from vla_ros.robot.spec.base import Name, NonNegative, Positive, Strict, to_ns
from vla_ros.spaces import STATE_ANCHOR
from vla_ros.spaces.images import ImageTransform
from vla_ros.spaces.raw_images import DEPTH_ENCODINGS, Encoding

OnLoss = Literal["skip", "hold", "stop"]


class Stream(Strict):
    """What every input stream declares about its time and its loss.

    ``clock`` says what tells when a sample was taken: its header's stamp, or its arrival here.
    ``latency_s`` is how much later than that the clock reads (0 for drivers that stamp the
    capture; else see ``vla calibrate-latency``); it is subtracted.
    """

    topic: Name
    clock: Literal["header", "receive"] = "header"
    latency_s: NonNegative = 0.0
    tolerance_s: Positive
    on_loss: OnLoss
    max_age_s: Positive | None = None
    wait_s: NonNegative = 0.05

    @model_validator(mode="after")
    def _hold_has_an_end(self) -> Stream:
        if (self.on_loss == "hold") != (self.max_age_s is not None):
            raise ValueError(
                "on_loss: hold and max_age_s go together: a hold needs a maximum age, "
                "and skip and stop have none"
            )
        return self

    @property
    def latency_ns(self) -> int:
        """How much later than a sample was taken its clock reads."""
        return to_ns(self.latency_s)

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


class CameraSpec(Stream):
    """One camera, from its topic to dataset space.

    ``transport: compressed`` reads sensor_msgs/CompressedImage (JPEG or PNG). ``depth_range_m``
    is what a depth image's 1 and 255 mean; 0 is no return. ``frozen_motion`` is how far a joint
    may move [rad or m] while the pixels stay identical. ``pairs`` bounds the time [s] between
    this camera's picture and another stream's sample, beyond what the time contract puts there.
    """

    key: Name
    transport: Literal["raw", "compressed"] = "raw"
    encoding: Encoding | BridgedEncoding = "rgb8"
    depth_range_m: tuple[Positive, Positive] | None = None
    frame_id: Name
    rate_hz: Positive
    match: Literal["nearest", "before"] = "nearest"
    pairs: dict[Name, Positive] = Field(default_factory=dict)
    raw_height: Annotated[int, Field(gt=0)]
    raw_width: Annotated[int, Field(gt=0)]
    crop: tuple[int, int, int, int] | None = None
    height: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]
    frozen_motion: Positive = 0.05

    @model_validator(mode="after")
    def _consistent(self) -> CameraSpec:
        if self.key.split("/")[0] == STATE_ANCHOR:
            raise ValueError(f"camera key '{self.key}' is taken by the state stream; rename it")
        if self.crop is not None:
            x, y, w, h = self.crop
            inside = x + w <= self.raw_width and y + h <= self.raw_height
            if min(x, y) < 0 or min(w, h) < 1 or not inside:
                raise ValueError(
                    f"crop {list(self.crop)} (x, y, width, height) does not lie inside "
                    f"the raw image of {self.raw_width}x{self.raw_height}"
                )
        is_depth = self.encoding in DEPTH_ENCODINGS
        if is_depth != (self.depth_range_m is not None):
            raise ValueError(
                f"encoding {self.encoding} and depth_range_m do not fit: a depth image needs a "
                "range [near, far], and only a depth image has one"
            )
        if self.depth_range_m is not None and self.depth_range_m[0] >= self.depth_range_m[1]:
            raise ValueError(f"depth_range_m {list(self.depth_range_m)}: near must be below far")
        if self.transport == "compressed" and self.encoding != "rgb8":
            raise ValueError(
                f"transport compressed decodes to rgb8; leave encoding {self.encoding} out"
            )
        return self

    @property
    def transform(self) -> ImageTransform:
        """Raw image to dataset space."""
        return ImageTransform(crop=self.crop, height=self.height, width=self.width)
