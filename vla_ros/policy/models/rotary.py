"""Rotary positions (arXiv 2104.09864) in the half-split layout of Gemma and Llama."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rotary(NamedTuple):
    """Cosines and sines of every token's angles.

    Attributes:
        cos: float32, Shape (B | 1, 1, N, d / 2).
        sin: Like ``cos``.
    """

    cos: Tensor
    sin: Tensor


def rotary(positions: Tensor, size: int, *, longest: float = 10_000.0) -> Rotary:
    """Angles ``position / longest^(2 i / d)``, computed in float64.

    Args:
        positions: Shape (B | 1, N).
        size: Head size d.
        longest: Longest wavelength over 2 pi.
    """
    exponent = torch.arange(0, size, 2, dtype=torch.float64, device=positions.device) / size
    angle = positions.double()[:, None, :, None] * longest**-exponent
    return Rotary(angle.cos().float(), angle.sin().float())


def rotate(x: Tensor, at: Rotary) -> Tensor:
    """Turn queries or keys, in float32. Shape (B, h, N, d) -> same, in x's type."""
    low, high = x.float().chunk(2, dim=-1)
    return torch.cat([low * at.cos - high * at.sin, high * at.cos + low * at.sin], -1).to(x.dtype)
