"""From a raw picture to dataset space: one crop and resize for all.

The live node, the simulator's collector and the converter call the same ``ImageTransform``, so
an image a policy is trained on and an image it is shown cannot differ by their processing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vla_ros.spaces.raw_images import (
    ENCODINGS,
    ImageError,
    Rgb,
    decode_compressed,
    decode_image,
)

__all__ = [
    "ENCODINGS",
    "ImageError",
    "ImageTransform",
    "Rgb",
    "decode_compressed",
    "decode_image",
    "small_grey",
]


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


def small_grey(rgb: Rgb) -> npt.NDArray[np.float32]:
    """A picture (H, W, 3) small and grey. Shape (30, 40)."""
    small = cv2.resize(rgb, (160, 120), interpolation=cv2.INTER_AREA)  # colour as bytes is faster
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.resize(grey, (40, 30), interpolation=cv2.INTER_AREA)
