"""Image encodings that cv_bridge reads and we do not. It comes with a ROS installation only.

https://docs.ros.org/en/jazzy/p/cv_bridge
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import SimpleNamespace
from typing import Literal, get_args

import numpy as np

from vla_ros.errors import VlaError
from vla_ros.spaces.raw_images import ENCODINGS, Buffer, ImageError, Rgb, pixels_of

BridgedEncoding = Literal[
    "rgb16",
    "bgr16",
    "rgba16",
    "bgra16",
    "bayer_rggb16",
    "bayer_bggr16",
    "bayer_gbrg16",
    "bayer_grbg16",
]
BRIDGED_ENCODINGS: tuple[BridgedEncoding, ...] = get_args(BridgedEncoding)
"""Encodings of sensor_msgs/Image that are left to cv_bridge."""

# A cv_bridge built for numpy 1 can be imported beside numpy 2, and ends the process at its first
# picture. So its first picture is read in another process.
_TRIAL = """
import sys
sys.path[:] = sys.argv[2:]
import types, numpy, cv_bridge
picture = types.SimpleNamespace(
    encoding=sys.argv[1], height=4, width=4, step=32, data=numpy.zeros(128, numpy.uint8),
    is_bigendian=int(sys.byteorder == "big"),
)
cv_bridge.CvBridge().imgmsg_to_cv2(picture, desired_encoding="rgb8")
"""


class BridgeMissing(VlaError):
    """cv_bridge is needed and cannot be used."""


class BridgedImages:
    """Reads one encoding with cv_bridge.

    Args:
        encoding: One of `BRIDGED_ENCODINGS`.

    Raises:
        BridgeMissing: It is not installed, or built for another numpy.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL, encoding, *sys.path], capture_output=True, text=True
        )
        if trial.returncode:
            reason = (trial.stderr.strip().splitlines() or [""])[-1]
            if trial.returncode < 0:
                reason = f"it ends the process: built for another numpy than {np.__version__}?"
            raise BridgeMissing(
                f"image encoding '{encoding}' is read with cv_bridge, which cannot be used "
                f"({reason}); install ros-jazzy-cv-bridge and numpy < 2 on a ROS installation, or "
                f"set the camera driver to one of {', '.join(ENCODINGS)}"
            )
        self._bridge = importlib.import_module("cv_bridge").CvBridge()

    def read(self, height: int, width: int, step: int, data: Buffer, big_endian: bool) -> Rgb:
        """The bytes of a sensor_msgs/Image as RGB, uint8. Shape (H, W, 3).

        cv_bridge is handed packed rows in this computer's byte order: it skews rows whose step is
        no multiple of a pixel, and cannot swap bytes with numpy 2.

        Raises:
            ImageError: The step or size does not fit, or cv_bridge cannot read them.
        """
        pixels = pixels_of(self._encoding, height, width, step, data, big_endian)
        packed = np.ascontiguousarray(pixels, dtype=np.uint16)
        message = SimpleNamespace(
            encoding=self._encoding,
            height=height,
            width=width,
            step=packed.nbytes // height,
            data=packed.view(np.uint8).reshape(-1),
            is_bigendian=int(sys.byteorder == "big"),
        )
        try:
            rgb = np.asarray(self._bridge.imgmsg_to_cv2(message, desired_encoding="rgb8"))
        except Exception as error:  # its own errors, and those of the numpy and OpenCV inside
            raise ImageError(f"cv_bridge cannot read it: {error}") from error
        rgb.setflags(write=False)
        return rgb
