"""Instruction words -> one vector.

A colour names a cube or a bin by its neighbours, not by its place in the sentence, so two small
convolutions over the words come first (relative, three words wide) and attention follows. There is
no table of absolute positions: a longer sentence than any in training looks like the others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_ros.policy.models.attention import Block

PAD = 0
UNKNOWN = 1


class InstructionEncoder(nn.Module):
    """Word table, two convolutions, one transformer block, attention pooling.

    Args:
        words: Size of the word table, padding and unknown included.
        width: Size of a word vector.
        out_dim: Size of the instruction vector.
        queries: Number of pooling queries.
    """

    def __init__(self, *, words: int, width: int, out_dim: int, queries: int = 4) -> None:
        super().__init__()
        self.table = nn.Embedding(words, width, padding_idx=PAD)
        self.conv1 = nn.Conv1d(width, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, padding=1)
        self.block = Block(width, 4, 2 * width)
        self.norm = nn.LayerNorm(width)
        self.pool = nn.Linear(width, queries)
        self.out = nn.Sequential(
            nn.Linear(queries * width, out_dim), nn.SiLU(), nn.Linear(out_dim, out_dim)
        )
        self.out_norm = nn.LayerNorm(out_dim)

    def forward(self, words: Tensor) -> Tensor:
        """int64 word numbers, 0 is padding, Shape (B, L) -> Shape (B, out_dim)."""
        known = words != PAD
        keep = known[..., None]
        x = self.table(words)
        for conv in (self.conv1, self.conv2):
            x = x + functional.silu(conv(x.transpose(1, 2)).transpose(1, 2)) * keep
        x = self.norm(self.block(x, mask=known[:, None, None, :]))
        scores = self.pool(x).masked_fill(~keep, torch.finfo(x.dtype).min)
        pooled = scores.softmax(dim=1).transpose(1, 2) @ x
        return self.out_norm(self.out(pooled.flatten(1)))
