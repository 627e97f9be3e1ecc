"""The transformer block of Gemma and Llama: RMS norms, rotary attention, gated feed-forward.

One block serves the language model that reads the prefix and the action expert that reads its
keys and values. A `Modulation` makes its norms adaptive (pi0.5); a `CrossAttention` in place of
the self-attention makes it look at the prefix alone (SmolVLA).

Axis letters: B batch, h heads, g key/value heads, N tokens, P prefix tokens, d head size, F width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_ros.policy.models.attention import attend, merge_heads, split_heads
from vla_ros.policy.models.rotary import Rotary, rotate

KeysValues = tuple[Tensor, Tensor]
"""Keys after rotation, and values. Each Shape (B, g, N, d)."""


@dataclass(frozen=True, kw_only=True)
class GatedSizes:
    """Sizes of a stack of blocks.

    Attributes:
        width: Token size.
        layers: Number of blocks.
        heads: Query heads.
        kv_heads: Key/value heads; ``heads`` is a multiple.
        head_size: Size of a head.
        hidden: Hidden size of the feed-forward part.
        activation: Of its gate: ``gelu`` (tanh form) or ``silu``.
        eps: Of the norms.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    hidden: int
    activation: Literal["gelu", "silu"] = "gelu"
    eps: float = 1e-6


class Modulation(NamedTuple):
    """What an adaptive norm does to its tokens and what their residual branch counts.

    Attributes:
        scale: Added to one. Each Shape (B | 1, N | 1, F).
        shift: Added after scaling.
        gate: Factor of the branch.
    """

    scale: Tensor
    shift: Tensor
    gate: Tensor


class RmsNorm(nn.Module):
    """``x / rms(x)`` in float32, times a weight, or scaled and shifted by a modulation.

    Gemma's files hold the weight minus one; loading adds the one.

    Args:
        width: Token size.
        eps: Added to the mean square.
        adaptive: The weight comes with each call.
    """

    def __init__(self, width: int, eps: float, *, adaptive: bool = False) -> None:
        super().__init__()
        self.eps = eps
        self.weight = None if adaptive else nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, modulation: Modulation | None = None) -> Tensor:
        """Shape (B, N, F) -> same, in x's type."""
        normal = functional.rms_norm(x.float(), (x.shape[-1],), self.weight, self.eps)
        if modulation is not None:
            normal = torch.addcmul(modulation.shift, normal, 1.0 + modulation.scale)
        return normal.to(x.dtype)


class RotaryAttention(nn.Module):
    """Grouped attention of tokens over a prefix, where there is one, and over themselves."""

    def __init__(self, sizes: GatedSizes) -> None:
        super().__init__()
        self.sizes = sizes
        out = sizes.heads * sizes.head_size
        self.qkv = nn.Linear(sizes.width, out + 2 * sizes.kv_heads * sizes.head_size, bias=False)
        self.out = nn.Linear(out, sizes.width, bias=False)

    def project(self, x: Tensor, at: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, turned, and values. Shape (B, N, F) -> (B, h | g, N, d) each."""
        sizes = self.sizes
        heads = split_heads(self.qkv(x), sizes.heads + 2 * sizes.kv_heads)
        turned, value = heads.split([sizes.heads + sizes.kv_heads, sizes.kv_heads], dim=1)
        query, key = rotate(turned, at).split([sizes.heads, sizes.kv_heads], dim=1)
        return query, key, value

    def forward(
        self, x: Tensor, at: Rotary, prefix: KeysValues | None, mask: Tensor | None
    ) -> tuple[Tensor, KeysValues]:
        """Shape (B, N, F) -> (B, N, F), and the tokens' own keys and values.

        ``mask``: bool, broadcastable to (B, 1, N, P + N), True where a token may look.
        """
        query, key, value = self.project(x, at)
        keys, values = key, value
        if prefix is not None:
            keys, values = torch.cat([prefix[0], key], -2), torch.cat([prefix[1], value], -2)
        return self.out(merge_heads(attend(query, keys, values, mask))), (key, value)


class CrossAttention(nn.Module):
    """Attention over the prefix alone, through projections of its keys and values.

    Those do not change while the flow is integrated: `keys_values` is called once a chunk.
    """

    def __init__(self, sizes: GatedSizes) -> None:
        super().__init__()
        self.sizes = sizes
        kv_width = sizes.kv_heads * sizes.head_size
        self.query = nn.Linear(sizes.width, sizes.heads * sizes.head_size, bias=False)
        self.key = nn.Linear(kv_width, kv_width, bias=False)
        self.value = nn.Linear(kv_width, kv_width, bias=False)
        self.out = nn.Linear(sizes.heads * sizes.head_size, sizes.width, bias=False)

    def keys_values(self, prefix: KeysValues) -> KeysValues:
        """The language model's keys and values as this layer reads them. Shapes unchanged."""
        groups = self.sizes.kv_heads
        return (
            split_heads(self.key(merge_heads(prefix[0])), groups),
            split_heads(self.value(merge_heads(prefix[1])), groups),
        )

    def forward(
        self, x: Tensor, at: Rotary, prefix: KeysValues | None, mask: Tensor | None
    ) -> tuple[Tensor, KeysValues]:
        """Shape (B, N, F) -> (B, N, F), and the keys and values it read."""
        assert prefix is not None  # what this layer exists for
        query = rotate(split_heads(self.query(x), self.sizes.heads), at)
        return self.out(merge_heads(attend(query, *prefix, mask))), prefix


class GatedFeedForward(nn.Module):
    """``down(activation(gate(x)) * up(x))``, gate and up in one product."""

    def __init__(self, sizes: GatedSizes) -> None:
        super().__init__()
        self.gelu = sizes.activation == "gelu"
        self.gate_up = nn.Linear(sizes.width, 2 * sizes.hidden, bias=False)
        self.down = nn.Linear(sizes.hidden, sizes.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (B, N, F) -> same."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        gate = functional.gelu(gate, approximate="tanh") if self.gelu else functional.silu(gate)
        out: Tensor = self.down(gate * up)
        return out


class GatedBlock(nn.Module):
    """Norm, attention, norm, gated feed-forward, each behind a residual.

    Args:
        sizes: Sizes.
        adaptive: Norms and residuals are modulated with each call.
        cross: Attend over the prefix alone.
    """

    def __init__(self, sizes: GatedSizes, *, adaptive: bool = False, cross: bool = False) -> None:
        super().__init__()
        self.norm1 = RmsNorm(sizes.width, sizes.eps, adaptive=adaptive)
        self.attention = CrossAttention(sizes) if cross else RotaryAttention(sizes)
        self.norm2 = RmsNorm(sizes.width, sizes.eps, adaptive=adaptive)
        self.feed_forward = GatedFeedForward(sizes)

    def forward(
        self,
        x: Tensor,
        at: Rotary,
        *,
        prefix: KeysValues | None = None,
        mask: Tensor | None = None,
        modulation: tuple[Modulation, Modulation] | None = None,
    ) -> tuple[Tensor, KeysValues]:
        """Shape (B, N, F) -> (B, N, F), and the tokens' own keys and values."""
        first, second = modulation if modulation is not None else (None, None)
        mixed, own = self.attention(self.norm1(x, first), at, prefix, mask)
        x = _residual(x, mixed, first)
        x = _residual(x, self.feed_forward(self.norm2(x, second)), second)
        return x, own


def _residual(x: Tensor, branch: Tensor, modulation: Modulation | None) -> Tensor:
    if modulation is None:
        return x + branch
    return torch.addcmul(x, branch, modulation.gate.to(x.dtype))
