"""The action expert: a velocity for every action token, given the cached prefix."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vla_ros.policy.models.attention import Block, PrefixCache, split_heads


def sincos_time(time: Tensor, size: int, *, shortest: float = 4e-3, longest: float = 4.0) -> Tensor:
    """Encode flow time with sines and cosines of geometrically spaced periods.

    Computed in float64 as pi0 does (openpi ``create_sinusoidal_pos_embedding``).

    Args:
        time: Shape (...), flow time in [0, 1].
        size: Even number of features.
        shortest: Shortest period.
        longest: Longest period.

    Returns:
        float32, Shape (..., size): the sines, then the cosines.
    """
    fraction = torch.linspace(0.0, 1.0, size // 2, dtype=torch.float64, device=time.device)
    period = shortest * (longest / shortest) ** fraction
    angle = time.double()[..., None] * (2.0 * math.pi / period)
    return torch.cat([angle.sin(), angle.cos()], dim=-1).float()


class PrefixKeys(nn.Module):
    """Turns prefix tokens into the keys and values that the expert's layers read.

    Args:
        width: Size of a prefix token.
        expert_width: Token size of the expert.
        heads: Number of heads.
        layers: Number of expert layers.
    """

    def __init__(self, width: int, expert_width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.layers = layers
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 2 * layers * expert_width)

    def forward(self, tokens: Tensor) -> PrefixCache:
        """Shape (B, P, width) -> cache with one (B, h, P, d) pair per layer."""
        parts = self.project(self.norm(tokens)).chunk(2 * self.layers, dim=-1)
        split = tuple(split_heads(part, self.heads) for part in parts)
        return PrefixCache(keys=split[: self.layers], values=split[self.layers :])


class ActionExpert(nn.Module):
    """Joint attention of action tokens over the prefix cache and themselves.

    Args:
        action_dim: Number A of action elements.
        horizon: Number T of action rows.
        condition_dim: Size of a vector added to every token (for example the instruction).
        width: Token size.
        heads: Number of heads.
        hidden: Hidden size of the feed-forward parts.
        layers: Number of blocks.
    """

    def __init__(
        self,
        *,
        action_dim: int,
        horizon: int,
        condition_dim: int,
        width: int,
        heads: int,
        hidden: int,
        layers: int,
    ) -> None:
        super().__init__()
        self.width = width
        self.action_in = nn.Linear(action_dim, width)
        self.position = nn.Parameter(torch.randn(horizon, width) * 0.02)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.condition = nn.Linear(condition_dim, width)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.action_out = nn.Linear(width, action_dim)

    def time_terms(self, time: Tensor) -> Tensor:
        """What depends on flow time and row alone. Shape (..., T | 1) -> (..., T, width)."""
        encoded = sincos_time(time, self.width).to(self.position.dtype)
        out: Tensor = self.time(encoded) + self.position
        return out

    def forward(
        self, noisy: Tensor, terms: Tensor, cache: PrefixCache, condition: Tensor
    ) -> Tensor:
        """Velocity of the flow at noisy actions.

        Args:
            noisy: Shape (B, K, T, A): K independent draws share one prefix.
            terms: `time_terms` of every token. Shape (B | 1, K | 1, T, width).
            cache: Prefix of the B observations.
            condition: Shape (B, condition_dim).

        Returns:
            float32, Shape (B, K, T, A).
        """
        batch, draws, rows, _ = noisy.shape
        dtype = cache.keys[0].dtype
        tokens = self.action_in(noisy.to(self.action_in.weight.dtype)).to(dtype) + terms.to(dtype)
        tokens = tokens + self.condition(condition)[:, None, None, :]
        x = tokens.view(batch, draws * rows, self.width)
        for layer, block in enumerate(self.blocks):
            x = block(
                x,
                prefix=(cache.keys[layer], cache.values[layer]),
                prefix_valid=cache.valid,
                draws=draws,
            )
        out = self.action_out(self.norm(x).to(self.action_out.weight.dtype))
        return out.float().view(batch, draws, rows, -1)
