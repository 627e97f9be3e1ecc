"""A U-Net over the rows of a chunk, conditioned by FiLM (Perez et al., 2017, arXiv:1709.07871)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class UnetSizes:
    """Sizes of the U-Net.

    Attributes:
        action_dim: Number A of action elements.
        condition_dim: Size of what is known about the observation.
        down_dims: Channels of its levels; each but the last halves the rows.
        kernel_size: Odd, of the convolutions.
        n_groups: Of the group norms.
        diffusion_step_embed_dim: Size of the encoded time.
        use_film_scale_modulation: FiLM scales too; else it only shifts.
    """

    action_dim: int
    condition_dim: int
    down_dims: tuple[int, ...] = (512, 1024, 2048)
    kernel_size: int = 5
    n_groups: int = 8
    diffusion_step_embed_dim: int = 128
    use_film_scale_modulation: bool = True


class StepTime(nn.Module):
    """Sines, then cosines, of the diffusion time."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, time: Tensor) -> Tensor:
        """Shape (B,) -> (B, size)."""
        half = self.size // 2
        rate = math.log(10_000) / (half - 1)
        angle = time[:, None] * torch.exp(torch.arange(half, device=time.device) * -rate)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class ConvBlock(nn.Module):
    """Convolution, group norm, Mish."""

    def __init__(self, channels: int, out: int, kernel: int, groups: int) -> None:
        super().__init__()
        conv = nn.Conv1d(channels, out, kernel, padding=kernel // 2)
        self.block = nn.Sequential(conv, nn.GroupNorm(groups, out), nn.Mish())

    def forward(self, x: Tensor) -> Tensor:
        """Shape (B, channels, T) -> (B, out, T)."""
        return self.block(x)


class FilmConvBlock(nn.Module):
    """Two blocks and a shortcut; the condition scales and shifts between them."""

    def __init__(self, channels: int, out: int, condition_dim: int, sizes: UnetSizes) -> None:
        super().__init__()
        self.scales = sizes.use_film_scale_modulation
        kernel, groups = sizes.kernel_size, sizes.n_groups
        self.conv1 = ConvBlock(channels, out, kernel, groups)
        film = nn.Linear(condition_dim, 2 * out if self.scales else out)
        self.cond_encoder = nn.Sequential(nn.Mish(), film)
        self.conv2 = ConvBlock(out, out, kernel, groups)
        self.residual_conv = nn.Conv1d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Shapes (B, channels, T), (B, condition_dim) -> (B, out, T)."""
        y, film = self.conv1(x), self.cond_encoder(condition)[..., None]
        if self.scales:
            scale, shift = film.chunk(2, dim=1)
            y = scale * y + shift
        else:
            y = y + film
        return self.conv2(y) + self.residual_conv(x)


class Unet(nn.Module):
    """Noisy rows and a condition to the noise in them; LeRobot's parameter names.

    Args:
        sizes: Its sizes.
    """

    def __init__(self, sizes: UnetSizes) -> None:
        super().__init__()
        step, dims = sizes.diffusion_step_embed_dim, sizes.down_dims
        condition = step + sizes.condition_dim
        self.diffusion_step_encoder = nn.Sequential(
            StepTime(step), nn.Linear(step, 4 * step), nn.Mish(), nn.Linear(4 * step, step)
        )

        def level(channels: int, out: int, resize: nn.Module) -> nn.ModuleList:
            first = FilmConvBlock(channels, out, condition, sizes)
            return nn.ModuleList([first, FilmConvBlock(out, out, condition, sizes), resize])

        self.down_modules = nn.ModuleList(
            level(channels, out, nn.Conv1d(out, out, 3, 2, 1) if out != dims[-1] else nn.Identity())
            for channels, out in zip((sizes.action_dim, *dims[:-1]), dims, strict=True)
        )
        self.mid_modules = nn.ModuleList(
            FilmConvBlock(dims[-1], dims[-1], condition, sizes) for _ in range(2)
        )
        self.up_modules = nn.ModuleList(
            level(2 * channels, out, nn.ConvTranspose1d(out, out, 4, 2, 1))
            for channels, out in zip(dims[:0:-1], dims[-2::-1], strict=True)
        )
        self.final_conv = nn.Sequential(
            ConvBlock(dims[0], dims[0], sizes.kernel_size, 8),
            nn.Conv1d(dims[0], sizes.action_dim, 1),
        )

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Answer for noisy rows.

        Args:
            noisy: Shape (B, T, A); T a multiple of 2 for each level but the last.
            time: int64, Shape (B,).
            condition: Shape (B, condition_dim).

        Returns:
            Shape (B, T, A).
        """
        condition = torch.cat([self.diffusion_step_encoder(time), condition], dim=-1)
        x, skips = noisy.transpose(1, 2), []
        for level in self.down_modules:
            first, second, resize = level.children()
            x = second(first(x, condition), condition)
            skips.append(x)
            x = resize(x)
        for block in self.mid_modules:
            x = block(x, condition)
        for level in self.up_modules:
            first, second, resize = level.children()
            x = first(torch.cat([x, skips.pop()], dim=1), condition)
            x = resize(second(x, condition))
        return self.final_conv(x).transpose(1, 2)
