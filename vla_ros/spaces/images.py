"""From raw camera bytes to dataset space: decoding without copies, one crop and resize for all.

The live node, the simulator's collector and the converter call the same ``ImageTransform``, so
an image a policy is trained on and an image it is shown cannot differ by their processing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

Rgb = npt.NDArray[np.uint8]

_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
ENCODINGS = tuple(_CHANNELS)
"""Encodings of sensor_msgs/Image that ``decode_image`` understands."""


class ImageError(VlaError):
    """An image's bytes, encoding or size are not what they should be."""


def decode_image(
    encoding: str,
    height: int,
    width: int,
    step: int,
    data: bytes | bytearray | memoryview | npt.NDArray[np.uint8],
) -> Rgb:
    """View the bytes of a sensor_msgs/Image as RGB without copying them.

    Args:
        encoding: one of ``ENCODINGS``; ``mono8`` is repeated over the three channels.
        height: rows.
        width: columns.
        step: bytes from one row to the next, at least ``width`` times the channels.
        data: exactly ``step * height`` bytes, or a buffer of them.

    Returns:
        Read-only uint8 view of ``data``. Shape (H, W, 3).

    Raises:
        ImageError: unknown encoding, empty image, or a step or size that does not fit.
    """
    channels = _CHANNELS.get(encoding)
    if channels is None:
        raise ImageError(
            f"image encoding is '{encoding}'; expected one of {', '.join(ENCODINGS)}. "
            "Set the camera driver's output encoding to rgb8 or bgr8"
        )
    if height <= 0 or width <= 0:
        raise ImageError(f"image is {width}x{height} (width x height); expected at least 1x1")
    if step < width * channels:
        raise ImageError(
            f"image step is {step} bytes; expected at least {width * channels} "
            f"({width} pixels of {encoding})"
        )
    flat = np.frombuffer(data, dtype=np.uint8)
    if flat.size != step * height:
        raise ImageError(
            f"image data has {flat.size} bytes; expected {step * height} "
            f"({height} rows of {step} bytes)"
        )
    rows = flat.reshape(height, step)[:, : width * channels]
    pixels = np.lib.stride_tricks.as_strided(
        rows, shape=(height, width, channels), strides=(step, channels, 1), writeable=False
    )
    if encoding == "mono8":
        return np.broadcast_to(pixels, (height, width, 3))
    rgb = pixels[..., 2::-1] if encoding.startswith("bgr") else pixels[..., :3]
    rgb.setflags(write=False)
    return rgb


@dataclass(frozen=True, kw_only=True)
class ImageTransform:
    """Crop, then resize with area averaging: a camera's raw image to dataset space.

    Attributes:
        crop: (x, y, width, height) in raw pixels, or None for the whole image.
        height: rows of the result.
        width: columns of the result.
    """

    crop: tuple[int, int, int, int] | None
    height: int
    width: int

    def apply(self, rgb: Rgb) -> Rgb:
        """Transform one image.

        Args:
            rgb: raw image, uint8, any strides. Shape (H, W, 3).

        Returns:
            A new read-only image. Shape (height, width, 3).

        Raises:
            ImageError: wrong type or shape, or the crop does not lie inside the image.
        """
        return self._resize(self._cropped(rgb))

    def apply_signed(self, rgb: Rgb) -> tuple[Rgb, tuple[float, ...]]:
        """``apply``, and the sums over the cropped raw pixels.

        Two images with equal results and equal sums are the same picture, even where the resize
        hides a small change.
        """
        cropped = self._cropped(rgb)
        return self._resize(cropped), tuple(cv2.sumElems(cropped)[:3])

    def _cropped(self, rgb: Rgb) -> Rgb:
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise ImageError(
                f"image has type {rgb.dtype} and shape {rgb.shape}; expected uint8 (H, W, 3)"
            )
        if self.crop is not None:
            x, y, w, h = self.crop
            if min(x, y) < 0 or min(w, h) < 1 or x + w > rgb.shape[1] or y + h > rgb.shape[0]:
                raise ImageError(
                    f"crop {self.crop} (x, y, width, height) does not lie inside the image of "
                    f"{rgb.shape[1]}x{rgb.shape[0]}; mend the crop in the robot file"
                )
            rgb = rgb[y : y + h, x : x + w]
        # OpenCV reads padded rows in place, but no reversed, repeated or skipped channels.
        return rgb if rgb.strides[1:] == (3, 1) else np.ascontiguousarray(rgb)

    def _resize(self, cropped: Rgb) -> Rgb:
        out: Rgb
        if cropped.shape[:2] == (self.height, self.width):
            out = np.array(cropped, order="C")
        else:
            size = (self.width, self.height)
            out = np.asarray(cv2.resize(cropped, size, interpolation=cv2.INTER_AREA), np.uint8)
        out.setflags(write=False)
        return out
