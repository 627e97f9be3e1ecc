"""SigLIP's image encoder (arXiv 2303.15343), as PaliGemma and SmolVLM use it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vla_ros.policy.models.attention import Block


@dataclass(frozen=True, kw_only=True)
class SiglipSizes:
    """Sizes of the encoder.

    Attributes:
        width: Token size.
        layers: Number of blocks.
        heads: Attention heads.
        hidden: Hidden size of the feed-forward parts.
        patch: Edge of a patch [px].
        image: Edge of the image [px].
        eps: Of the layer norms.
    """

    width: int
    layers: int
    heads: int
    hidden: int
    patch: int
    image: int
    eps: float = 1e-6

    @property
    def tokens(self) -> int:
        """Patches of one image."""
        return (self.image // self.patch) ** 2


class Siglip(nn.Module):
    """Images -> one token per patch."""

    def __init__(self, sizes: SiglipSizes) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, sizes.width, sizes.patch, stride=sizes.patch)
        self.position = nn.Parameter(torch.randn(sizes.tokens, sizes.width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(sizes.width, sizes.heads, sizes.hidden, eps=sizes.eps)
            for _ in range(sizes.layers)
        )
        self.norm = nn.LayerNorm(sizes.width, eps=sizes.eps)

    def forward(self, images: Tensor) -> Tensor:
        """Images in [-1, 1], Shape (B, 3, H, W) -> (B, patches, width)."""
        x = self.patch(images).flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out
