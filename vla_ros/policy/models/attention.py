"""Attention of new tokens over cached prefix keys and values and over themselves.

Axis letters here: B batch, h heads, g key/value heads (h is a multiple of g), N new tokens,
P prefix tokens, M all tokens looked at, K draws, d head size.

Without gradients the products run in PyTorch's fused kernel. With gradients they are written out
(matmul, softmax, matmul): the fused backward pass on CPU costs more than the rest of a small
network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class PrefixCache:
    """Keys and values of the prefix, computed once per observation.

    Attributes:
        keys: One tensor per layer that reads them. Each Shape (B, g, P, d).
        values: Like ``keys``.
        valid: bool, Shape (B, P), False at padding. None: no padding.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    valid: Tensor | None = None


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Shape (B, N, h * d) -> (B, h, N, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Shape (B, h, N, d) -> (B, N, h * d)."""
    return x.transpose(1, 2).flatten(2)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attend with h query heads over g key/value heads.

    Args:
        query: Shape (B, h, N, d).
        key: Shape (B, g, M, d).
        value: Shape (B, g, M, d).
        mask: bool, broadcastable to (B, h, N, M), the same for all heads; True where a query may
            look. None: everywhere.

    Returns:
        Shape (B, h, N, d).
    """
    batch, heads, count, size = query.shape
    groups = key.shape[1]
    if not torch.is_grad_enabled():
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, enable_gqa=bool(groups != heads)
        )
    folded = query.reshape(batch, groups, heads // groups * count, size)
    scores = folded @ key.transpose(-1, -2) * (1.0 / math.sqrt(size))
    if mask is not None:
        scores = scores.view(batch, heads, count, -1)
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        scores = scores.view(batch, groups, heads // groups * count, -1)
    return (scores.softmax(dim=-1) @ value).view(batch, heads, count, size)


def attend_with_prefix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    prefix_key: Tensor,
    prefix_value: Tensor,
    *,
    prefix_valid: Tensor | None = None,
    draws: int = 1,
) -> Tensor:
    """Attend over the prefix and over the tokens of the same draw.

    With ``draws`` = K the N new tokens are K independent groups of N / K tokens that share one
    prefix: every group sees the prefix and itself. It equals a block-diagonal mask, without
    computing the blocks that the mask would throw away.

    Args:
        query: Shape (B, h, N, d).
        key: Shape (B, h, N, d).
        value: Shape (B, h, N, d).
        prefix_key: Shape (B, h, P, d).
        prefix_value: Shape (B, h, P, d).
        prefix_valid: bool, Shape (B, P); None: all.
        draws: Number K of groups.

    Returns:
        Shape (B, h, N, d).
    """
    if draws == 1:
        mask = None
        if prefix_valid is not None:
            mask = functional.pad(prefix_valid, (0, key.shape[-2]), value=True)[:, None, None]
        keys, values = torch.cat([prefix_key, key], -2), torch.cat([prefix_value, value], -2)
        return attend(query, keys, values, mask)
    batch, heads, count, size = query.shape
    prefix = prefix_key.shape[-2]
    groups = (batch, heads * draws, count // draws, size)
    query = query * (1.0 / math.sqrt(size))
    to_prefix = query @ prefix_key.transpose(-1, -2)
    if prefix_valid is not None:
        low = torch.finfo(to_prefix.dtype).min
        to_prefix = to_prefix.masked_fill(~prefix_valid[:, None, None, :], low)
    to_own = query.reshape(groups) @ key.reshape(groups).transpose(-1, -2)
    to_own = to_own.view(batch, heads, count, count // draws)
    weights = torch.cat([to_prefix, to_own], dim=-1).softmax(dim=-1)
    own = weights[..., prefix:].reshape(batch, heads * draws, count // draws, count // draws)
    from_own = (own @ value.reshape(groups)).view(batch, heads, count, size)
    return weights[..., :prefix] @ prefix_value + from_own


class SelfAttention(nn.Module):
    """Multi-head attention of tokens over themselves, optionally behind a prefix.

    Args:
        width: Token size.
        heads: Number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        prefix: tuple[Tensor, Tensor] | None = None,
        prefix_valid: Tensor | None = None,
        draws: int = 1,
    ) -> Tensor:
        """Shape (B, N, width) -> (B, N, width). ``mask`` is for the case without a prefix."""
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        if prefix is None:
            mixed = attend(query, key, value, mask)
        else:
            mixed = attend_with_prefix(
                query, key, value, *prefix, prefix_valid=prefix_valid, draws=draws
            )
        return self.out(merge_heads(mixed))


class FeedForward(nn.Sequential):
    """Two linear layers with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(
            nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width)
        )


class Block(nn.Module):
    """Pre-norm transformer block.

    Args:
        width: Token size.
        heads: Number of heads.
        hidden: Hidden size of the feed-forward part.
        eps: Of the layer norms.
    """

    def __init__(self, width: int, heads: int, hidden: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.feed_forward = FeedForward(width, hidden)

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        prefix: tuple[Tensor, Tensor] | None = None,
        prefix_valid: Tensor | None = None,
        draws: int = 1,
    ) -> Tensor:
        """Shape (B, N, width) -> (B, N, width); arguments as ``SelfAttention``."""
        x = x + self.attention(
            self.norm1(x), mask=mask, prefix=prefix, prefix_valid=prefix_valid, draws=draws
        )
        return x + self.feed_forward(self.norm2(x))
