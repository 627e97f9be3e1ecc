"""Camera images -> the square, zero-centred floats a SigLIP encoder takes, proportions kept.

Which resampling is right depends on who trained the checkpoint: openpi shrinks uint8 images with
Pillow, which filters before it samples; LeRobot samples floats with PyTorch, which does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from vla_ros.policy.processors.base import ProcessorError

Resize = Literal["torch", "pil"]


@dataclass(frozen=True, kw_only=True)
class Letterbox:
    """Resize to fit, pad the rest.

    Attributes:
        height: Of the result [px].
        width: Of the result [px].
        resize: Bilinear as in PyTorch (no filter), or as in Pillow (filtered).
        corner: The image sits in the lower right corner (SmolVLA), not in the middle.
        border: Value of the padding in the result; black is -1.
    """

    height: int
    width: int
    resize: Resize = "torch"
    corner: bool = False
    border: float = -1.0

    def apply(self, image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Shape (H, W, 3) -> (3, height, width), -1 is black and 1 is white.

        Args:
            image: uint8, or for ``torch`` also float32 in [0, 1].

        Raises:
            ProcessorError: It is no such image.
        """
        kinds = (np.uint8,) if self.resize == "pil" else (np.uint8, np.float32)
        if image.ndim != 3 or image.shape[-1] != 3 or image.dtype not in kinds or not image.size:
            raise ProcessorError(
                f"expected an image of shape (H, W, 3) and type uint8, got {image.dtype} of shape "
                f"{image.shape}"
            )
        height, width = image.shape[:2]
        ratio = max(width / self.width, height / self.height)
        size = (int(height / ratio), int(width / ratio))
        x = self._resized(image, size)
        spare = (self.height - size[0], self.width - size[1])
        top, left = spare if self.corner else (spare[0] // 2, spare[1] // 2)
        out = np.full((3, self.height, self.width), self.border, np.float32)
        out[:, top : top + size[0], left : left + size[1]] = x
        return out

    def _resized(self, image: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        if self.resize == "pil" and image.shape[:2] != size:
            from PIL import Image

            shrunk = Image.fromarray(image).resize(size[::-1], resample=Image.Resampling.BILINEAR)
            image = np.asarray(shrunk)
        x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        x = x.float() / 255.0 if x.dtype == torch.uint8 else x
        if x.shape[1:] != size:
            x = functional.interpolate(x[None], size=size, mode="bilinear")[0].clamp(0.0, 1.0)
        out: npt.NDArray[np.float32] = (x * 2.0 - 1.0).numpy()
        return out
