"""Weights by a formula, so that both sides have them and no file has to hold them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def patterned(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A float32 tensor for each name, small enough for a deep network to stay finite."""
    return {name: torch.from_numpy(_one(name, shape)) for name, shape in shapes.items()}


def _one(name: str, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    place = np.arange(count) + zlib.crc32(name.encode()) % 10_007
    noise = np.sin(12.9898 * place) * 43_758.5453
    noise = 2.0 * (noise - np.floor(noise)) - 1.0
    if len(shape) > 1:
        noise *= (3.0 / (count / shape[0])) ** 0.5
    elif name.endswith(("weight", "running_var")):
        noise = 1.0 + 0.4 * noise
    else:
        noise *= 0.2
    return noise.reshape(shape).astype(np.float32)
