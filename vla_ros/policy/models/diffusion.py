"""Diffusion Policy (Chi et al., 2023, arXiv:2303.04137), its U-Net form, as in LeRobot.

Parameters have LeRobot's names without the prefix ``diffusion.``, except the ResNet's, which have
torchvision's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vla_ros.policy.models.diffusion_noise import NoiseSchedule
from vla_ros.policy.models.diffusion_unet import Unet, UnetSizes
from vla_ros.policy.models.resnet import FrozenBatchNorm, ResNet, group_norm


@dataclass(frozen=True, kw_only=True)
class DiffusionSizes:
    """Sizes of the network.

    Attributes:
        state_dim: Number S of state elements.
        cameras: Number C of cameras.
        n_obs_steps: Observations it looks at.
        crop_shape: Height and width of the middle of the image that it sees [px].
        use_separate_rgb_encoder_per_camera: Each camera has its own encoder.
        spatial_softmax_num_keypoints: Points that an encoder finds.
        use_group_norm: In the backbone, instead of batch normalisation.
        vision_backbone: A key of ``resnet.BLOCKS``.
        backbone_width: Channels of the backbone's first stage.
        unet: Of the U-Net; ``condition_dim`` as `condition_dim`.
    """

    state_dim: int
    cameras: int
    n_obs_steps: int
    crop_shape: tuple[int, int]
    use_separate_rgb_encoder_per_camera: bool
    spatial_softmax_num_keypoints: int
    use_group_norm: bool
    vision_backbone: str
    backbone_width: int
    unet: UnetSizes


def condition_dim(*, state_dim: int, cameras: int, n_obs_steps: int, keypoints: int) -> int:
    """Size of what the observations amount to."""
    return n_obs_steps * (state_dim + cameras * 2 * keypoints)


class KeypointPool(nn.Module):
    """Expected place of each feature, -1 to 1 between the outermost pixels' centres."""

    pos_grid: Tensor

    def __init__(self, channels: int, keypoints: int, height: int, width: int) -> None:
        super().__init__()
        self.nets = nn.Conv2d(channels, keypoints, 1)
        y, x = torch.meshgrid(
            torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
        )
        self.register_buffer("pos_grid", torch.stack([x, y], dim=-1).flatten(0, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Shape (B, channels, h, w) -> (B, 2 * keypoints)."""
        attention = self.nets(features).flatten(2).softmax(dim=-1)
        return (attention @ self.pos_grid).flatten(1)


class RgbEncoder(nn.Module):
    """The middle of an image to key points."""

    def __init__(self, sizes: DiffusionSizes) -> None:
        super().__init__()
        self.crop = sizes.crop_shape
        norm = group_norm if sizes.use_group_norm else FrozenBatchNorm
        self.backbone = ResNet(sizes.vision_backbone, norm, width=sizes.backbone_width)
        height, width = (math.ceil(size / 32) for size in self.crop)
        points = sizes.spatial_softmax_num_keypoints
        self.pool = KeypointPool(self.backbone.channels, points, height, width)
        self.out = nn.Linear(2 * points, 2 * points)

    def forward(self, images: Tensor) -> Tensor:
        """Shape (B, 3, H, W) -> (B, 2 * keypoints)."""
        top, left = (
            round((have - want) / 2)
            for have, want in zip(images.shape[-2:], self.crop, strict=True)
        )
        images = images[..., top : top + self.crop[0], left : left + self.crop[1]]
        return self.out(self.pool(self.backbone(images))).relu()


class Diffusion(nn.Module):
    """The network; everything normalised.

    Args:
        sizes: Its sizes.
    """

    def __init__(self, sizes: DiffusionSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.rgb_encoder: nn.Module
        if sizes.use_separate_rgb_encoder_per_camera:
            self.rgb_encoder = nn.ModuleList(RgbEncoder(sizes) for _ in range(sizes.cameras))
        else:
            self.rgb_encoder = RgbEncoder(sizes)
        self.unet = Unet(sizes.unet)

    def condition(self, images: Tensor, state: Tensor) -> Tensor:
        """What the observations amount to.

        Args:
            images: The oldest observation first, Shape (B, n_obs_steps, C, 3, H, W).
            state: Shape (B, n_obs_steps, S).

        Returns:
            Shape (B, condition_dim).
        """
        leading = images.shape[:2]
        if isinstance(self.rgb_encoder, nn.ModuleList):
            pairs = zip(self.rgb_encoder, images.unbind(2), strict=True)
            seen = [
                encoder(camera.flatten(0, 1)).unflatten(0, leading) for encoder, camera in pairs
            ]
        else:
            seen = [self.rgb_encoder(images.flatten(0, 2)).view(*leading, -1)]
        return torch.cat([state, *seen], dim=-1).flatten(1)


def diffusion_loss(
    model: Diffusion,
    schedule: NoiseSchedule,
    condition: Tensor,
    actions: Tensor,
    noise: Tensor,
    time: Tensor,
) -> Tensor:
    """Mean squared error of the network's answer, a scalar.

    Args:
        model: The network.
        schedule: Of the noise.
        condition: Shape (B, condition_dim).
        actions: Shape (B, T, A).
        noise: Shape (B, T, A).
        time: int64, Shape (B,).
    """
    answer = model.unet(schedule.add_noise(actions, noise, time), time, condition)
    return (answer - schedule.target(actions, noise)).square().mean()
