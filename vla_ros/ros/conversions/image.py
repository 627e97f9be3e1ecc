"""sensor_msgs/Image <-> RGB arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image

from vla_ros.ros.conversions.arrays import packed
from vla_ros.ros.conversions.times import header
from vla_ros.spaces.images import decode_image


def image_msg(rgb: npt.NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """RGB -> message.

    Args:
        rgb: Shape (H, W, 3).
        stamp_ns: Capture time.
        frame_id: Optical frame.
    """
    height, width, _ = rgb.shape
    return Image(
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=packed(rgb, "B"),
    )


def rgb_from(message: Image) -> npt.NDArray[np.uint8]:
    """Message -> RGB, a read-only view. Shape (H, W, 3).

    Raises:
        ImageError: Unknown encoding, or bytes that do not fit the size.
    """
    return decode_image(
        message.encoding,
        message.height,
        message.width,
        message.step,
        np.frombuffer(message.data, dtype=np.uint8),
    )
