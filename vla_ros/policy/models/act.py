"""ACT, the action chunking transformer (Zhao et al., 2023, arXiv:2304.13705), as in LeRobot.

A conditional VAE whose decoder is a DETR-like transformer: latent, state and image features go
through an encoder, one query per row reads a whole chunk from it in a single pass. At run time the
latent is zero, its prior's mean; the VAE's encoder serves training only. Parameters have LeRobot's
names (without the prefix ``model.``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_ros.policy.models.act_layers import ActSizes, Decoder, Encoder
from vla_ros.policy.models.resnet import FrozenBatchNorm, ResNet


class Act(nn.Module):
    """The network; everything normalised.

    Args:
        sizes: Its sizes.
    """

    vae_encoder_pos_enc: Tensor

    def __init__(self, sizes: ActSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.dim_model
        if sizes.use_vae:
            self.vae_encoder = Encoder(sizes, sizes.n_vae_encoder_layers)
            self.vae_encoder_cls_embed = nn.Embedding(1, width)
            self.vae_encoder_robot_state_input_proj = nn.Linear(sizes.state_dim, width)
            self.vae_encoder_action_input_proj = nn.Linear(sizes.action_dim, width)
            self.vae_encoder_latent_output_proj = nn.Linear(width, 2 * sizes.latent_dim)
            rows = torch.arange(2.0 + sizes.chunk_size, dtype=torch.float64)
            self.register_buffer("vae_encoder_pos_enc", interleaved_sincos(rows, width)[None])
        self.backbone = ResNet(sizes.vision_backbone, FrozenBatchNorm, width=sizes.backbone_width)
        self.encoder = Encoder(sizes, sizes.n_encoder_layers)
        self.decoder = Decoder(sizes)
        self.encoder_robot_state_input_proj = nn.Linear(sizes.state_dim, width)
        self.encoder_latent_input_proj = nn.Linear(sizes.latent_dim, width)
        self.encoder_img_feat_input_proj = nn.Conv2d(self.backbone.channels, width, 1)
        self.encoder_1d_feature_pos_embed = nn.Embedding(2, width)
        self.decoder_pos_embed = nn.Embedding(sizes.chunk_size, width)
        self.action_head = nn.Linear(width, sizes.action_dim)

    def forward(self, images: Tensor, state: Tensor, latent: Tensor | None = None) -> Tensor:
        """Predict a chunk.

        Args:
            images: Shape (B, C, 3, H, W).
            state: Shape (B, S).
            latent: Shape (B, latent_dim); None: zero, the mean of its prior.

        Returns:
            Shape (B, T, A).
        """
        sizes = self.sizes
        batch, cameras = images.shape[:2]
        if latent is None:
            latent = state.new_zeros(batch, sizes.latent_dim)
        grid = self.encoder_img_feat_input_proj(self.backbone(images.flatten(0, 1)))
        height, width = grid.shape[-2:]
        pixels = grid.flatten(2).transpose(1, 2).reshape(batch, -1, sizes.dim_model)
        vectors = [
            self.encoder_latent_input_proj(latent),
            self.encoder_robot_state_input_proj(state),
        ]
        tokens = torch.cat([torch.stack(vectors, dim=1), pixels], dim=1)
        places = grid_positions(height, width, sizes.dim_model, grid.device).to(grid.dtype)
        position = torch.cat(
            [self.encoder_1d_feature_pos_embed.weight, places.repeat(cameras, 1)], dim=0
        )
        seen = self.encoder(tokens, position)
        queries = seen.new_zeros(batch, sizes.chunk_size, sizes.dim_model)
        rows = self.decoder(queries, self.decoder_pos_embed.weight, (seen + position, seen))
        return self.action_head(rows)

    def latent(self, state: Tensor, actions: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """The VAE's encoder: what the latent of a demonstration is.

        Args:
            state: Shape (B, S).
            actions: Shape (B, T, A).
            padding: bool, True at rows after the episode's end. Shape (B, T).

        Returns:
            Mean and logarithm of the variance. Each Shape (B, latent_dim).
        """
        batch = len(state)
        tokens = torch.cat(
            [
                self.vae_encoder_cls_embed.weight.expand(batch, 1, -1),
                self.vae_encoder_robot_state_input_proj(state)[:, None],
                self.vae_encoder_action_input_proj(actions),
            ],
            dim=1,
        )
        hidden = functional.pad(padding, (2, 0), value=False)
        out = self.vae_encoder(tokens, self.vae_encoder_pos_enc[0], hidden)[:, 0]
        mean, log_variance = self.vae_encoder_latent_output_proj(out).chunk(2, dim=-1)
        return mean, log_variance


@dataclass(frozen=True, kw_only=True)
class ActLoss:
    """Training loss and its parts, scalars.

    Attributes:
        total: ``l1 + kl_weight * kl``.
        l1: Mean absolute error; padded rows count as zero.
        kl: Divergence of the latent from a standard normal distribution, summed over its elements.
    """

    total: Tensor
    l1: Tensor
    kl: Tensor


def act_loss(
    model: Act,
    images: Tensor,
    state: Tensor,
    actions: Tensor,
    padding: Tensor,
    noise: Tensor,
    *,
    kl_weight: float = 10.0,
) -> ActLoss:
    """Loss of a demonstration.

    Args:
        model: The network; with a VAE.
        images: Shape (B, C, 3, H, W).
        state: Shape (B, S).
        actions: Shape (B, T, A).
        padding: bool, True at rows after the episode's end. Shape (B, T).
        noise: Standard normal, for the latent. Shape (B, latent_dim).
        kl_weight: Weight of the divergence.
    """
    mean, log_variance = model.latent(state, actions, padding)
    predicted = model(images, state, mean + (0.5 * log_variance).exp() * noise)
    l1 = ((predicted - actions).abs() * ~padding[..., None]).mean()
    kl = -0.5 * (1.0 + log_variance - mean.square() - log_variance.exp()).sum(-1).mean()
    return ActLoss(total=l1 + kl_weight * kl, l1=l1, kl=kl)


def interleaved_sincos(at: Tensor, size: int) -> Tensor:
    """Sine and cosine in turn, wavelengths growing to 10,000 (Vaswani et al., 2017).

    Args:
        at: Places. Shape (N,).
        size: Even number of features.

    Returns:
        float32, Shape (N, size).
    """
    pairs = torch.arange(size // 2, dtype=at.dtype, device=at.device)
    angle = at[:, None] / 10_000.0 ** (2.0 * pairs / size)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()


def grid_positions(height: int, width: int, size: int, device: torch.device) -> Tensor:
    """Places of an image's feature map, row by row: half the features for y, half for x.

    Places go from 2 pi / n to 2 pi (DETR).

    Returns:
        float32, Shape (height * width, size).
    """

    def along(count: int) -> Tensor:
        steps = torch.arange(1.0, count + 1.0, device=device)
        return interleaved_sincos(steps / (count + 1e-6) * (2.0 * math.pi), size // 2)

    y = along(height)[:, None].expand(height, width, -1)
    x = along(width)[None].expand(height, width, -1)
    return torch.cat([y, x], dim=-1).flatten(0, 1)
