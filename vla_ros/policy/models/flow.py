"""Flow matching: the convention, the training pairs and the Euler sampler.

The one convention of this package (openpi's): **flow time 1 is noise, flow time 0 is data**, and

    x_t = t * noise + (1 - t) * actions,     dx/dt = noise - actions.

Flow time is given per action token, so that some rows of a chunk may be further along than others
(training-time real-time chunking, arXiv 2512.05964). Other conventions are mapped when a checkpoint
is loaded.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]


def interpolate(actions: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """Point of the flow at ``time``.

    Args:
        actions: Shape (..., T, A).
        noise: Shape (..., T, A).
        time: Shape (..., T).

    Returns:
        Shape (..., T, A).
    """
    return torch.lerp(actions, noise, time[..., None])


def target_velocity(actions: Tensor, noise: Tensor) -> Tensor:
    """What a network that is right answers at every time. Shape (..., T, A)."""
    return noise - actions


def sample_times(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw training times from Beta(1.5, 1) * 0.999 + 0.001, denser towards noise (pi0).

    Beta(a, 1) is the a-th root of a uniform number.
    """
    uniform = torch.rand(shape, generator=generator, device=generator.device)
    return uniform ** (1.0 / 1.5) * 0.999 + 0.001


def euler_sample(velocity: Velocity, noise: Tensor, *, num_steps: int) -> Tensor:
    """Integrate from noise (time 1) to data (time 0) in equal forward Euler steps.

    The time of step i is exactly ``1 - i / num_steps``; it is not accumulated in float32.

    Args:
        velocity: Takes x, Shape (B, T, A), and time per token, Shape (B, T).
        noise: Shape (B, T, A).
        num_steps: Number of steps, at least 1.

    Returns:
        Shape (B, T, A).
    """
    x = noise
    for step in range(num_steps):
        time = torch.full(noise.shape[:-1], 1.0 - step / num_steps, device=noise.device)
        x = x - velocity(x, time) / num_steps
    return x
