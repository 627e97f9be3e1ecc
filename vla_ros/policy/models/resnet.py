"""ResNet-18 and ResNet-34 up to the last feature map (He et al., 2015, arXiv:1512.03385).

Parameters have torchvision's names, so that its weights and those of policies built on it load.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

BLOCKS: dict[str, tuple[int, int, int, int]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
}
"""Blocks in each of the four stages."""

MakeNorm = Callable[[int], nn.Module]


class FrozenBatchNorm(nn.Module):
    """Batch normalisation with fixed statistics: an affine map of each channel."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (B, channels, H, W) -> same."""
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


def group_norm(channels: int) -> nn.Module:
    """Groups of 16 channels, as Diffusion Policy has in the place of batch normalisation."""
    return nn.GroupNorm(channels // 16, channels)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, channels: int, out: int, stride: int, norm: MakeNorm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn1 = norm(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = norm(out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            shortcut = nn.Conv2d(channels, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, norm(out))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (B, channels, H, W) -> (B, out, H / stride, W / stride)."""
        y = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(y)) + self.downsample(x)).relu()


def _stage(channels: int, out: int, blocks: int, stride: int, norm: MakeNorm) -> nn.Sequential:
    first = BasicBlock(channels, out, stride, norm)
    return nn.Sequential(first, *(BasicBlock(out, out, 1, norm) for _ in range(blocks - 1)))


class ResNet(nn.Module):
    """Images to the feature map of the fourth stage, 32 times smaller.

    Args:
        name: A key of `BLOCKS`.
        norm: Makes the normalisation of so many channels.
        width: Channels of the first stage; 64 in the published networks.
    """

    def __init__(self, name: str, norm: MakeNorm, *, width: int = 64) -> None:
        super().__init__()
        one, two, three, four = BLOCKS[name]
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = norm(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _stage(width, width, one, 1, norm)
        self.layer2 = _stage(width, 2 * width, two, 2, norm)
        self.layer3 = _stage(2 * width, 4 * width, three, 2, norm)
        self.layer4 = _stage(4 * width, 8 * width, four, 2, norm)
        self.channels = 8 * width

    def forward(self, images: Tensor) -> Tensor:
        """Shape (B, 3, H, W) -> (B, channels, H / 32, W / 32), rounded up."""
        x = self.maxpool(self.bn1(self.conv1(images)).relu())
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))
