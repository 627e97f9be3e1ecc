"""PaliGemma (arXiv 2407.07726) as it reads a prefix: each camera's SigLIP tokens, then the words.

Image tokens enter as they are, words times the root of the width (openpi's convention, which equals
Hugging Face's: there the images are divided first and everything is multiplied).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vla_ros.policy.models.gated import GatedBlock, GatedSizes
from vla_ros.policy.models.prefix_expert import PrefixInputs
from vla_ros.policy.models.siglip import Siglip, SiglipSizes


@dataclass(frozen=True, kw_only=True)
class PaliGemmaSizes:
    """Sizes of the network.

    Attributes:
        vision: Image encoder.
        language: Language model.
        words: Size of the word table.
    """

    vision: SiglipSizes
    language: GatedSizes
    words: int


class PaliGemma(nn.Module):
    """Image encoder, projection, word table and language model."""

    def __init__(self, sizes: PaliGemmaSizes) -> None:
        super().__init__()
        language = sizes.language
        self.width = language.width
        self.head_size = language.head_size
        self.vision = Siglip(sizes.vision)
        self.project = nn.Linear(sizes.vision.width, language.width)
        self.words = nn.Embedding(sizes.words, language.width)
        self.language = nn.ModuleList(GatedBlock(language) for _ in range(language.layers))

    def embed_words(self, words: Tensor) -> Tensor:
        """int64, Shape (B, L) -> (B, L, width)."""
        out: Tensor = self.words(words).to(self.vision.position.dtype) * math.sqrt(self.width)
        return out

    def image_tokens(self, images: Tensor) -> Tensor:
        """All cameras in one batch. Shape (B, C, 3, H, W) -> (B, C * patches, width)."""
        tokens = self.project(self.vision(images.flatten(0, 1)))
        return tokens.reshape(len(images), -1, self.width)

    def embed_prefix(self, inputs: PrefixInputs) -> Tensor:
        """Image tokens of all cameras, then words. Shape (B, P, width)."""
        images = inputs.images.to(self.vision.position.dtype)
        return torch.cat([self.image_tokens(images), self.embed_words(inputs.words)], dim=1)
