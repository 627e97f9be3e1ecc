"""A small convolutional image encoder that listens to the instruction.

Every stage ends in a residual block modulated by the instruction (FiLM, arXiv 1709.07871). The last
stage's grid, two by two cells at a time, becomes tokens; a spatial softmax over an earlier, finer
grid adds one token with the image positions of learned key points (arXiv 1504.00702), which is
where millimetres come from. The first key points are landmarks: training may say where in the
image each of them is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 32
"""Image height and width must be multiples of this: one token for so many pixels squared."""


def image_to_float(images: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8, Shape (B, H, W, 3) -> [-1, 1], Shape (B, 3, H, W), channels last in memory."""
    return images.permute(0, 3, 1, 2).to(dtype) * (2.0 / 255.0) - 1.0


class FilmBlock(nn.Module):
    """Residual block: two convolutions, the second scaled and shifted by a condition."""

    def __init__(self, channels: int, condition_dim: int, groups: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.film = nn.Linear(condition_dim, 2 * channels)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Shape (B, F, h, w), (B, condition_dim) -> (B, F, h, w)."""
        h = functional.silu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        return functional.silu(x + torch.addcmul(shift, h, 1.0 + scale))


def _centres(count: int) -> Tensor:
    """Middles of `count` equal cells between -1 and 1."""
    return (torch.arange(count) + 0.5) * (2.0 / count) - 1.0


class Look(NamedTuple):
    """What one camera image amounts to.

    Attributes:
        tokens: Shape (B, N, width).
        log_heat: Log probability of every key point over the fine grid's h * w cells, float32,
            Shape (B, keypoints, h * w).
        landmarks: For each landmark its expected image position x, y in [-1, 1], its peak
            probability, and the fine grid's features there. Float32, Shape (B, landmarks, 3 + F).
    """

    tokens: Tensor
    log_heat: Tensor
    landmarks: Tensor


class SpatialSoftmax(nn.Module):
    """Expected image position of every probability map, -1 to 1 from edge to edge."""

    grid_x: Tensor
    grid_y: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        y, x = torch.meshgrid(_centres(height), _centres(width), indexing="ij")
        self.register_buffer("grid_x", x.reshape(-1), persistent=False)
        self.register_buffer("grid_y", y.reshape(-1), persistent=False)

    def forward(self, weights: Tensor) -> Tensor:
        """Float32, Shape (B, F, h * w) -> x and y, Shape (B, F, 2)."""
        return torch.stack([weights @ self.grid_x.float(), weights @ self.grid_y.float()], dim=-1)


class ImageEncoder(nn.Module):
    """One camera image -> tokens.

    Args:
        height: Image height H, a multiple of 32.
        width: Image width W, a multiple of 32.
        channels: Channels of the three stages.
        keypoints: Number of heat maps.
        landmarks: How many of them, from the first on, are landmarks.
        condition_dim: Size of the instruction vector.
        token_width: Size of a token.
    """

    def __init__(
        self,
        *,
        height: int,
        width: int,
        channels: tuple[int, int, int],
        keypoints: int,
        landmarks: int,
        condition_dim: int,
        token_width: int,
    ) -> None:
        super().__init__()
        if height % PATCH or width % PATCH:
            raise ValueError(f"Image size must be a multiple of {PATCH}, got {height} x {width}.")
        if landmarks > keypoints:
            raise ValueError(f"{landmarks} landmarks need as many key points, got {keypoints}.")
        c1, c2, c3 = channels
        self.landmarks = landmarks
        self.stem = nn.Conv2d(3, c1, 8, stride=4, padding=2)
        self.stage1 = FilmBlock(c1, condition_dim)
        self.down2 = nn.Conv2d(c1, c2, 3, stride=2, padding=1)
        self.stage2 = FilmBlock(c2, condition_dim)
        self.down3 = nn.Conv2d(c2, c3, 3, stride=2, padding=1)
        self.stage3 = FilmBlock(c3, condition_dim)
        self.heat_fine = nn.Conv2d(c1, keypoints, 1)
        self.heat_coarse = nn.Conv2d(c2, keypoints, 1)
        self.softmax = SpatialSoftmax(height // 4, width // 4)
        self.keypoint_token = nn.Linear(2 * keypoints, token_width)
        self.grid_token = nn.Conv2d(c3, token_width, 2, stride=2)
        self.token_count = (height // PATCH) * (width // PATCH) + 1
        self.position = nn.Parameter(torch.randn(self.token_count, token_width) * 0.02)

    def forward(self, images: Tensor, condition: Tensor) -> Look:
        """Look at uint8 images, Shape (B, H, W, 3), under a condition, Shape (B, condition_dim)."""
        fine = self.stage1(
            functional.silu(self.stem(image_to_float(images, condition.dtype))), condition
        )
        coarse = self.stage2(functional.silu(self.down2(fine)), condition)
        grid = self.stage3(functional.silu(self.down3(coarse)), condition)
        heat = self.heat_fine(fine) + functional.interpolate(
            self.heat_coarse(coarse), size=fine.shape[-2:], mode="nearest"
        )
        log_heat = heat.float().flatten(2).log_softmax(dim=-1)
        weights = log_heat.exp()
        points = self.softmax(weights)
        marks = weights[:, : self.landmarks]
        features = marks @ fine.float().flatten(2).transpose(1, 2)
        peaks = marks.amax(dim=-1, keepdim=True)
        landmarks = torch.cat([points[:, : self.landmarks], peaks, features], dim=-1)
        token = self.keypoint_token(points.flatten(1).to(self.keypoint_token.weight.dtype))
        tokens = self.grid_token(grid).flatten(2).transpose(1, 2)
        tokens = torch.cat([token.to(tokens.dtype)[:, None], tokens], dim=1) + self.position
        return Look(tokens, log_heat, landmarks)
