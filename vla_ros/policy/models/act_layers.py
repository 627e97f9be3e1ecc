"""Sizes of ACT and its transformer: DETR's layers (Carion et al., 2020, arXiv:2005.12872)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class ActSizes:
    """Sizes of an ACT network.

    Attributes:
        state_dim: Number S of state elements.
        action_dim: Number A of action elements.
        chunk_size: Rows T of a chunk.
        dim_model: Token size, a multiple of 4.
        n_heads: Attention heads.
        dim_feedforward: Hidden size of the feed-forward parts.
        n_encoder_layers: Layers over latent, state and images.
        n_decoder_layers: Layers of the rows' queries.
        n_vae_encoder_layers: Layers of the VAE's encoder.
        use_vae: Whether there is a VAE's encoder.
        latent_dim: Size of the latent.
        pre_norm: Normalise before each part; else after the sum.
        feedforward_activation: Between the two linear layers.
        dropout: Probability in training.
        vision_backbone: A key of ``resnet.BLOCKS``.
        backbone_width: Channels of the backbone's first stage.
    """

    state_dim: int
    action_dim: int
    chunk_size: int
    dim_model: int = 512
    n_heads: int = 8
    dim_feedforward: int = 3200
    n_encoder_layers: int = 4
    n_decoder_layers: int = 1
    n_vae_encoder_layers: int = 4
    use_vae: bool = True
    latent_dim: int = 32
    pre_norm: bool = False
    feedforward_activation: Literal["relu", "gelu"] = "relu"
    dropout: float = 0.1
    vision_backbone: str = "resnet18"
    backbone_width: int = 64


class Layer(nn.Module):
    """Self-attention, cross-attention where there is a memory, feed-forward.

    Positions are added to queries and keys in every layer, never to values (DETR).
    """

    def __init__(self, sizes: ActSizes, *, cross: bool) -> None:
        super().__init__()
        width = sizes.dim_model

        def attention() -> nn.MultiheadAttention:
            return nn.MultiheadAttention(width, sizes.n_heads, sizes.dropout, batch_first=True)

        self.self_attn = attention()
        self.linear1 = nn.Linear(width, sizes.dim_feedforward)
        self.linear2 = nn.Linear(sizes.dim_feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        if cross:
            self.multihead_attn = attention()
            self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.activation = getattr(functional, sizes.feedforward_activation)
        self.pre_norm = sizes.pre_norm

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        *,
        padding: Tensor | None = None,
        memory: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """One layer.

        Args:
            x: Shape (B, N, width).
            position: Shape (N, width).
            padding: bool, True at tokens nobody looks at. Shape (B, N).
            memory: Keys, with their positions added, and values. Each Shape (B, M, width).

        Returns:
            Shape (B, N, width).
        """

        def own(y: Tensor) -> Tensor:
            placed = y + position
            return self.self_attn(placed, placed, y, padding, need_weights=False)[0]

        x = self._add(self.norm1, x, own)
        norm = self.norm2
        if memory is not None:
            x = self._add(
                norm,
                x,
                lambda y: self.multihead_attn(y + position, *memory, need_weights=False)[0],
            )
            norm = self.norm3
        return self._add(norm, x, self._feed_forward)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _add(self, norm: nn.Module, x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        if self.pre_norm:
            return x + self.dropout(part(norm(x)))
        return norm(x + self.dropout(part(x)))


class Encoder(nn.Module):
    """Layers over one sequence."""

    def __init__(self, sizes: ActSizes, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(sizes, cross=False) for _ in range(layers))
        self.norm = nn.LayerNorm(sizes.dim_model) if sizes.pre_norm else nn.Identity()

    def forward(self, x: Tensor, position: Tensor, padding: Tensor | None = None) -> Tensor:
        """Shape (B, N, width) -> same."""
        for layer in self.layers:
            x = layer(x, position, padding=padding)
        return self.norm(x)


class Decoder(nn.Module):
    """Layers of the rows' queries over the encoder's output."""

    def __init__(self, sizes: ActSizes) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(sizes, cross=True) for _ in range(sizes.n_decoder_layers))
        self.norm = nn.LayerNorm(sizes.dim_model)

    def forward(self, x: Tensor, position: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """Shape (B, T, width) -> same."""
        for layer in self.layers:
            x = layer(x, position, memory=memory)
        return self.norm(x)
