"""The action head of GR00T N1.5 (NVIDIA, 2025, arXiv:2503.14734), without its language model.

State, a few learned tokens and noisy actions go through a transformer that looks at the backbone's
features; what is special to an embodiment are small layers at both ends. NVIDIA's flow runs from
0, noise, to 1, data; here it is turned around to the convention of `flow`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_ros.policy.models.attention import Block
from vla_ros.policy.models.flow import euler_sample, interpolate, target_velocity
from vla_ros.policy.models.groot_dit import Dit, Pair, log_spaced


@dataclass(frozen=True, kw_only=True)
class GrootSizes:
    """Sizes of the head; the defaults are N1.5's.

    Attributes:
        backbone_dim: Size of a backbone token.
        state_dim: Padded state elements.
        action_dim: Padded action elements.
        horizon: Rows T of a chunk.
        embodiments: Sets of weights at both ends.
        heads: Attention heads of the transformer.
        head_dim: Their size; together they make a token.
        layers: Its blocks.
        hidden: Size of its answers and inside the layers at both ends.
        backbone_heads: Attention heads over the backbone's tokens.
        backbone_layers: Their blocks.
        future_tokens: Learned tokens between state and actions.
        max_rows: Learned places for rows.
        buckets: Steps into which flow time is cut.
    """

    backbone_dim: int = 2048
    state_dim: int = 64
    action_dim: int = 32
    horizon: int = 16
    embodiments: int = 32
    heads: int = 32
    head_dim: int = 48
    layers: int = 16
    hidden: int = 1024
    backbone_heads: int = 32
    backbone_layers: int = 4
    future_tokens: int = 32
    max_rows: int = 1024
    buckets: int = 1000

    @property
    def width(self) -> int:
        """Size of a token."""
        return self.heads * self.head_dim


class PerEmbodiment(nn.Module):
    """A linear layer with a matrix for each embodiment."""

    def __init__(self, embodiments: int, width: int, out: int) -> None:
        super().__init__()
        self.W = nn.Parameter(0.02 * torch.randn(embodiments, width, out))
        self.b = nn.Parameter(torch.zeros(embodiments, out))

    def forward(self, x: Tensor, embodiment: Tensor) -> Tensor:
        """Shapes (B, N, width), int64 (B,) -> (B, N, out)."""
        return torch.baddbmm(self.b[embodiment][:, None], x, self.W[embodiment])


class PerEmbodimentMlp(nn.Module):
    """Two such layers with a ReLU between them."""

    def __init__(self, embodiments: int, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.layer1 = PerEmbodiment(embodiments, width, hidden)
        self.layer2 = PerEmbodiment(embodiments, hidden, out)

    def forward(self, x: Tensor, embodiment: Tensor) -> Tensor:
        """Shapes (B, N, width), int64 (B,) -> (B, N, out)."""
        return self.layer2(self.layer1(x, embodiment).relu(), embodiment)


class ActionEncoder(nn.Module):
    """Noisy rows and time to tokens."""

    def __init__(self, embodiments: int, action_dim: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.W1 = PerEmbodiment(embodiments, action_dim, width)
        self.W2 = PerEmbodiment(embodiments, 2 * width, width)
        self.W3 = PerEmbodiment(embodiments, width, width)

    def forward(self, actions: Tensor, bucket: Tensor, embodiment: Tensor) -> Tensor:
        """Shapes (B, T, A), int64 (B,), int64 (B,) -> (B, T, width)."""
        x = self.W1(actions, embodiment)
        time = torch.cat(log_spaced(bucket, self.width, self.width // 2), dim=-1)
        x = torch.cat([x, time.to(x.dtype)[:, None].expand_as(x)], dim=-1)
        return self.W3(functional.silu(self.W2(x, embodiment)), embodiment)


@dataclass(frozen=True, kw_only=True)
class GrootPrefix:
    """What all steps of a chunk share.

    Attributes:
        state: Tokens of state and future. Shape (B, 1 + future_tokens, width).
        keys: What each block of the transformer looks at.
        embodiment: int64, Shape (B,).
    """

    state: Tensor
    keys: list[Pair | None]
    embodiment: Tensor


class GrootHead(nn.Module):
    """The head; everything normalised and padded.

    Args:
        sizes: Its sizes.
    """

    def __init__(self, sizes: GrootSizes) -> None:
        super().__init__()
        self.sizes = sizes
        bodies, width, source = sizes.embodiments, sizes.width, sizes.backbone_dim
        self.backbone_norm = nn.LayerNorm(source)
        self.backbone_blocks = nn.ModuleList(
            Block(source, sizes.backbone_heads, 4 * source) for _ in range(sizes.backbone_layers)
        )
        self.state_encoder = PerEmbodimentMlp(bodies, sizes.state_dim, sizes.hidden, width)
        self.action_encoder = ActionEncoder(bodies, sizes.action_dim, width)
        self.action_decoder = PerEmbodimentMlp(bodies, sizes.hidden, sizes.hidden, sizes.action_dim)
        self.future_tokens = nn.Embedding(sizes.future_tokens, width)
        self.position_embedding = nn.Embedding(sizes.max_rows, width)
        self.model = Dit(
            width=width, heads=sizes.heads, layers=sizes.layers, source=source, out=sizes.hidden
        )

    def process_backbone(self, features: Tensor) -> Tensor:
        """Shape (B, S, backbone_dim) -> same."""
        x = self.backbone_norm(features)
        for block in self.backbone_blocks:
            x = block(x)
        return x

    def look(self, features: Tensor) -> list[Pair | None]:
        """What the blocks look at. ``features``: the backbone's, Shape (B, S, backbone_dim)."""
        return self.model.keys(self.process_backbone(features))

    def feel(self, keys: list[Pair | None], state: Tensor, embodiment: Tensor) -> GrootPrefix:
        """Everything that does not change from step to step.

        Args:
            keys: From `look`.
            state: Shape (B, 1, state_dim).
            embodiment: int64, Shape (B,).
        """
        future = self.future_tokens.weight.expand(len(state), -1, -1)
        tokens = torch.cat([self.state_encoder(state, embodiment), future], dim=1)
        return GrootPrefix(state=tokens, keys=keys, embodiment=embodiment)

    def encode(self, features: Tensor, state: Tensor, embodiment: Tensor) -> GrootPrefix:
        """`look` and `feel` at once."""
        return self.feel(self.look(features), state, embodiment)

    def velocity(self, noisy: Tensor, time: Tensor, prefix: GrootPrefix) -> Tensor:
        """Velocity of the flow.

        Args:
            noisy: Shape (B, T, A).
            time: Flow time, the same for all rows. Shape (B,).
            prefix: From `encode`.

        Returns:
            Shape (B, T, A).
        """
        bucket = ((1.0 - time) * self.sizes.buckets + 1e-3).long()
        rows = self.action_encoder(noisy, bucket, prefix.embodiment)
        rows = rows + self.position_embedding.weight[: noisy.shape[1]]
        out = self.model(torch.cat([prefix.state, rows], dim=1), bucket, prefix.keys)
        return -self.action_decoder(out[:, -noisy.shape[1] :], prefix.embodiment)

    def sample(self, prefix: GrootPrefix, noise: Tensor, *, num_steps: int = 4) -> Tensor:
        """A chunk. Shape (B, T, A) -> same."""

        def velocity(x: Tensor, time: float) -> Tensor:
            return self.velocity(x, x.new_full((len(x),), time), prefix)

        return euler_sample(velocity, noise, num_steps=num_steps)


def groot_loss(
    head: GrootHead, prefix: GrootPrefix, actions: Tensor, noise: Tensor, time: Tensor, mask: Tensor
) -> Tensor:
    """Mean squared error of the velocity where ``mask`` is 1, a scalar.

    Args:
        head: The network.
        prefix: From `GrootHead.encode`.
        actions: Shape (B, T, A).
        noise: Shape (B, T, A).
        time: Flow time. Shape (B,).
        mask: 1 at elements that the embodiment has, else 0. Shape (B, T, A).
    """
    noisy = interpolate(actions, noise, time[:, None].expand(actions.shape[:2]))
    error = head.velocity(noisy, time, prefix) - target_velocity(actions, noise)
    return (error.square() * mask).sum() / mask.sum()
