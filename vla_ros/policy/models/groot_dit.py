"""GR00T N1.5's action transformer: every other block looks at the backbone, the rest at themselves.

Time acts through adaptive layer norms (Peebles and Xie, 2022, arXiv:2212.09748).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_ros.policy.models.attention import FeedForward, attend, merge_heads, split_heads

Pair = tuple[Tensor, Tensor]

_TIME_FEATURES = 256


def log_spaced(at: Tensor, size: int, last: int) -> tuple[Tensor, Tensor]:
    """Sines and cosines at size / 2 rates, from 1 on and 1 / 10,000 at number ``last``.

    Shape (...) -> two of (..., size // 2).
    """
    steps = torch.arange(size // 2, dtype=torch.float32, device=at.device)
    angle = at.float()[..., None] * torch.exp(steps * (-math.log(10_000.0) / last))
    return angle.sin(), angle.cos()


class DitBlock(nn.Module):
    """Attention behind an adaptive norm, then feed-forward.

    Args:
        width: Token size.
        heads: Attention heads.
        source: Size of the tokens looked at.
    """

    def __init__(self, width: int, heads: int, source: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = nn.Linear(width, 2 * width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(source, 2 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = FeedForward(width, 4 * width)

    def keys(self, tokens: Tensor) -> Pair:
        """Keys and values of the tokens looked at. Shape (B, S, source) -> two (B, h, S, d)."""
        key, value = self.key_value(tokens).chunk(2, dim=-1)
        return split_heads(key, self.heads), split_heads(value, self.heads)

    def forward(self, x: Tensor, time: Tensor, keys: Pair | None) -> Tensor:
        """One block.

        Args:
            x: Shape (B, N, width).
            time: Encoded. Shape (B, width).
            keys: Of the backbone; None: the tokens look at themselves.

        Returns:
            Shape (B, N, width).
        """
        scale, shift = self.modulation(functional.silu(time))[:, None].chunk(2, dim=-1)
        y = functional.layer_norm(x, x.shape[-1:]) * (1.0 + scale) + shift
        key, value = self.keys(y) if keys is None else keys
        mixed = attend(split_heads(self.query(y), self.heads), key, value)
        x = x + self.out(merge_heads(mixed))
        return x + self.feed_forward(functional.layer_norm(x, x.shape[-1:]))


class Dit(nn.Module):
    """The transformer.

    Args:
        width: Token size.
        heads: Attention heads.
        layers: Number of blocks; even ones look at the backbone.
        source: Size of a backbone token.
        out: Size of an answer's token.
    """

    def __init__(self, *, width: int, heads: int, layers: int, source: int, out: int) -> None:
        super().__init__()
        self.time = nn.Sequential(
            nn.Linear(_TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.blocks = nn.ModuleList(
            DitBlock(width, heads, width if layer % 2 else source) for layer in range(layers)
        )
        self.modulation = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, out)

    def keys(self, backbone: Tensor) -> list[Pair | None]:
        """What each block looks at, once for all steps. Shape (B, S, source)."""
        return [
            None if n % 2 else cast(DitBlock, block).keys(backbone)
            for n, block in enumerate(self.blocks)
        ]

    def encode_time(self, bucket: Tensor) -> Tensor:
        """Whole numbers, Shape (B,) -> (B, width)."""
        sine, cosine = log_spaced(bucket, _TIME_FEATURES, _TIME_FEATURES // 2 - 1)
        return self.time(torch.cat([cosine, sine], dim=-1))

    def forward(self, x: Tensor, bucket: Tensor, keys: Sequence[Pair | None]) -> Tensor:
        """Shapes (B, N, width), (B,) -> (B, N, out)."""
        time = self.encode_time(bucket)
        for block, looked_at in zip(self.blocks, keys, strict=True):
            x = block(x, time, looked_at)
        shift, scale = self.modulation(functional.silu(time))[:, None].chunk(2, dim=-1)
        x = functional.layer_norm(x, x.shape[-1:], eps=1e-6) * (1.0 + scale) + shift
        return self.project(x)
