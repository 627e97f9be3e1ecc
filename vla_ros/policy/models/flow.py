"""Flow matching: the convention, the training pairs, the Euler sampler and its guidance.

The one convention of this package (openpi's): **flow time 1 is noise, flow time 0 is data**, and

    x_t = t * noise + (1 - t) * actions,     dx/dt = noise - actions.

Flow time is given per action token, so that some rows of a chunk may be further along than others
(training-time real-time chunking, arXiv 2512.05964). Other conventions are mapped when a checkpoint
is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vla_ros.chunks.rtc import ESTIMATED_FROM, Jacobian

Velocity = Callable[[Tensor, float], Tensor]
"""Takes x, Shape (B, T, A), and the step's flow time; answers with dx/dt of the same shape."""


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


@dataclass(frozen=True, kw_only=True, eq=False)
class FlowGuidance:
    """Pulls a chunk towards another while it is sampled (real-time chunking, arXiv 2506.07339).

    Attributes:
        target: The chunk to agree with, normalised. Shape (B, T, A).
        weights: How much each of its rows counts. Shape (T,) or (B, T).
        max_weight: Bound of the strength (beta).
        jacobian: ``full``: pull through the network's Jacobian, as the paper does, at the price of
            a backward pass a step. ``none``: pull the estimate of the end straight (LeRobot).
            ``estimated``: straight, as far as the policy yields (`vla_ros.chunks.rtc`).
    """

    target: Tensor
    weights: Tensor
    max_weight: float
    jacobian: Jacobian

    def to(self, device: torch.device) -> FlowGuidance:
        """The same on a device."""
        return replace(self, target=self.target.to(device), weights=self.weights.to(device))

    def strength(self, time: float) -> float:
        """Factor of the pull: small at data, bounded by ``max_weight`` at noise."""
        done = 1.0 - time
        if done <= 0.0:
            return self.max_weight
        # time^2 / (time^2 + done^2) is the variance of the end, given x_t and a unit prior.
        return min(self.max_weight, (time**2 + done**2) / (time * done))

    def steer(self, velocity: Velocity) -> Velocity:
        """The field, pulled: for one chunk, asked once a step from noise to data."""
        first: Tensor | None = None

        def straight(x: Tensor, time: float) -> Tensor:
            nonlocal first
            speed = velocity(x, time)
            error = (self.target - (x - time * speed)) * self.weights[..., None]
            first = error if first is None else first
            late = self.jacobian == "estimated" and 1.0 - time >= ESTIMATED_FROM
            pull = error * yielded(error, first) if late else error
            return speed - self.strength(time) * pull

        def through(x: Tensor, time: float) -> Tensor:
            with torch.enable_grad():
                start = x.detach().requires_grad_(True)
                speed = velocity(start, time)
                end = start - time * speed
                error = (self.target - end.detach()) * self.weights[..., None]
                (pull,) = torch.autograd.grad(end, start, error)
            return speed.detach() - self.strength(time) * pull

        return through if self.jacobian == "full" else straight


def yielded(error: Tensor, first: Tensor) -> Tensor:
    """`vla_ros.chunks.rtc.yielded` of each of a batch (B, T, A). Shape (B, 1, A)."""
    whole = first.square().sum(dim=-2, keepdim=True)
    left = (error * first).sum(dim=-2, keepdim=True)
    return (1.0 - left / whole.clamp_min(torch.finfo(torch.float32).tiny)).clamp(0.0, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class GivenRows:
    """Rows of a chunk that are known, for networks trained so (arXiv 2512.05964).

    They are at flow time 0 while the others are sampled around them.

    Attributes:
        actions: Normalised; of rows that are not given anything finite. Shape (B, T, A).
        given: Which are. Shape (B, T), bool.
    """

    actions: Tensor
    given: Tensor

    def to(self, device: torch.device) -> GivenRows:
        """The same on a device."""
        return replace(self, actions=self.actions.to(device), given=self.given.to(device))

    def put_into(self, x: Tensor) -> Tensor:
        """A chunk with the given rows in their place. Shape (B, T, A)."""
        return torch.where(self.given[..., None], self.actions, x)


def euler_times(num_steps: int) -> tuple[float, ...]:
    """Flow times at which equal Euler steps start: exactly ``1 - i / num_steps``."""
    return tuple(1.0 - step / num_steps for step in range(num_steps))


def euler_sample(
    velocity: Velocity, noise: Tensor, *, num_steps: int, guidance: FlowGuidance | None = None
) -> Tensor:
    """Integrate from noise (time 1) to data (time 0) in equal forward Euler steps.

    Times are those of `euler_times`; they are not accumulated in float32.

    Args:
        velocity: The field.
        noise: Shape (B, T, A).
        num_steps: Number of steps, at least 1.
        guidance: What the chunk should agree with.

    Returns:
        Shape (B, T, A).
    """
    x, field = noise, velocity if guidance is None else guidance.steer(velocity)
    for time in euler_times(num_steps):
        x = x - field(x, time) / num_steps
    return x
