"""The noise of diffusion models: how it is put on, and two ways to take it off again.

DDPM (Ho et al., 2020, arXiv:2006.11239) draws fresh noise in every step; DDIM (Song et al., 2020,
arXiv:2010.02502) draws none and does with fewer steps. Diffusion time counts whole steps: 0 is the
last one before data. Sums run in float32 and in the order of Hugging Face's diffusers, whose
schedulers trained the published policies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Sampler = Literal["DDPM", "DDIM"]
Denoiser = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """How much of the data is left at each diffusion time.

    Attributes:
        kept: Product of all 1 - beta up to a time. Shape (steps,).
        prediction: What the network answers with: the noise or the data.
        clip: Estimates of the data are cut to +- this; None: not at all.
    """

    kept: Tensor
    prediction: Literal["epsilon", "sample"] = "epsilon"
    clip: float | None = 1.0

    def add_noise(self, actions: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Shapes (B, T, A), (B, T, A), int64 (B,) -> (B, T, A)."""
        kept = self.kept[time, None, None]
        return kept.sqrt() * actions + (1.0 - kept).sqrt() * noise

    def target(self, actions: Tensor, noise: Tensor) -> Tensor:
        """What a network that is right answers with."""
        return noise if self.prediction == "epsilon" else actions

    def times(self, steps: int) -> list[int]:
        """Equally spaced times, falling to 0."""
        stride = len(self.kept) // steps
        return [stride * step for step in reversed(range(steps))]

    def sample(
        self,
        denoise: Denoiser,
        noise: Tensor,
        *,
        sampler: Sampler,
        steps: int,
        draw: Callable[[], Tensor],
    ) -> Tensor:
        """From noise to data.

        Args:
            denoise: The network: a noisy sample and its time -> its answer.
            noise: Shape (B, T, A).
            sampler: DDPM or DDIM.
            steps: 1 to the number of training steps.
            draw: Gives standard normal noise of the sample's shape; only DDPM asks, in every step
                but the last.

        Returns:
            Shape (B, T, A).
        """
        x, stride = noise, len(self.kept) // steps
        for time in self.times(steps):
            now = self.kept[time]
            before = self.kept[time - stride] if time >= stride else torch.ones(())
            data, rest = self._split(x, denoise(x, time), now)
            if sampler == "DDIM":
                x = before.sqrt() * data + (1.0 - before).sqrt() * rest
                continue
            share = now / before
            x = (before.sqrt() * (1.0 - share) / (1.0 - now)) * data + (
                share.sqrt() * (1.0 - before) / (1.0 - now)
            ) * x
            if time > 0:
                variance = (1.0 - before) / (1.0 - now) * (1.0 - share)
                x = x + variance.clamp(min=1e-20).sqrt() * draw()
        return x

    def _split(self, x: Tensor, answer: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Data, clipped, and noise in a sample."""
        if self.prediction == "epsilon":
            data, noise = (x - (1.0 - kept).sqrt() * answer) / kept.sqrt(), answer
        else:
            data, noise = answer, (x - kept.sqrt() * answer) / (1.0 - kept).sqrt()
        return (data if self.clip is None else data.clamp(-self.clip, self.clip)), noise


def squared_cosine(steps: int) -> Tensor:
    """Betas of a squared cosine (Nichol and Dhariwal, 2021), at most 0.999. Shape (steps,)."""

    def left(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    return torch.tensor(
        [min(1 - left((i + 1) / steps) / left(i / steps), 0.999) for i in range(steps)]
    )


def kept_share(betas: Tensor) -> Tensor:
    """`NoiseSchedule.kept` of some betas. Shape (steps,) -> same."""
    return torch.cumprod(1.0 - betas, dim=0)
