"""Image encodings that cv_bridge reads and we do not. It comes with a ROS installation only.

https://docs.ros.org/en/jazzy/p/cv_bridge
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Literal, get_args

import numpy as np

from vla_ros.errors import VlaError
from vla_ros.spaces.raw_images import ENCODINGS, Buffer, ImageError, Rgb

BridgedEncoding = Literal[
    "rgb16",
    "bgr16",
    "rgba16",
    "bgra16",
    "bayer_rggb16",
    "bayer_bggr16",
    "bayer_gbrg16",
    "bayer_grbg16",
    "nv21",
    "nv24",
]
BRIDGED_ENCODINGS: tuple[BridgedEncoding, ...] = get_args(BridgedEncoding)
"""Encodings of sensor_msgs/Image that are left to cv_bridge."""


class BridgeMissing(VlaError):
    """cv_bridge is needed and cannot be imported."""


class BridgedImages:
    """Reads one encoding with cv_bridge.

    Args:
        encoding: One of `BRIDGED_ENCODINGS`.

    Raises:
        BridgeMissing: It is not installed, or built for another numpy.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        try:
            self._bridge = importlib.import_module("cv_bridge").CvBridge()
        except (ImportError, AttributeError) as error:
            raise BridgeMissing(
                f"image encoding '{encoding}' is read with cv_bridge, which cannot be imported "
                f"({error}); install ros-jazzy-cv-bridge and numpy < 2 on a ROS installation, or "
                f"set the camera driver to one of {', '.join(ENCODINGS)}"
            ) from error

    def read(self, height: int, width: int, step: int, data: Buffer, big_endian: bool) -> Rgb:
        """The bytes of a sensor_msgs/Image as RGB, uint8. Shape (H, W, 3).

        Raises:
            ImageError: cv_bridge cannot read them.
        """
        message = SimpleNamespace(
            encoding=self._encoding,
            height=height,
            width=width,
            step=step,
            data=np.frombuffer(data, dtype=np.uint8),
            is_bigendian=int(big_endian),
        )
        try:
            rgb = np.asarray(self._bridge.imgmsg_to_cv2(message, desired_encoding="rgb8"))
        except Exception as error:  # its own errors, and those of the numpy and OpenCV inside
            raise ImageError(f"cv_bridge cannot read it: {error}") from error
        rgb.setflags(write=False)
        return rgb
