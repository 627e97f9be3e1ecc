"""Losses of nano: the flow, and auxiliary heads that make it look and listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vla_ros.policy.models.flow import interpolate, sample_times, target_velocity
from vla_ros.policy.models.nano import Nano, NanoSizes, Prefix
from vla_ros.train.batches import Batch


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Factors of the sum.

    Attributes:
        target: Where the asked object and bin are.
        scene: Where all objects and bins are.
        words: Which object and bin the words ask for.
        pixels: Where each camera sees them.
        blind: The flow of frames without images.
    """

    target: float = 0.5
    scene: float = 0.3
    words: float = 0.1
    pixels: float = 0.1
    blind: float = 1.0


def target_positions(batch: Batch, objects: int) -> Tensor:
    """Asked object x y z and the sine and cosine of its turn, asked bin x y. Shape (B, 7)."""
    row = torch.arange(len(batch.state), device=batch.state.device)
    asked = batch.scene[row, batch.object_index]
    place = batch.scene[row, objects + batch.bin_index, :2]
    return torch.cat([asked, place], dim=-1)


NEAR = 0.3
"""A reading so near the truth (in scene scale) is what the expert acts on in training, too."""


def taught(truth: Tensor, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """The model's own reading where it is about right, else the truth with a little noise."""

    def choose(reading: Tensor) -> Tensor:
        near = (reading.detach() - truth).abs() < NEAR
        return torch.where(near, reading.detach(), noisy(truth, generator))

    return choose


def noisy(truth: Tensor, generator: torch.Generator) -> Tensor:
    """Positions with errors like those of a reading: up to 0.1 scene scales, one size a row."""
    size = 0.1 * torch.rand((len(truth), 1), generator=generator, device=truth.device)
    return truth + size * torch.randn(truth.shape, generator=generator, device=truth.device)


def pixel_loss(log_heat: Tensor, pixels: Tensor, sizes: NanoSizes) -> Tensor:
    """Cross-entropy of heat maps against known image positions, where they are in view.

    Args:
        log_heat: Log probabilities over the fine grid. Shape (B, C, P, h * w).
        pixels: x and y, -1 to 1 from edge to edge. Shape (B, C, P, 2).
        sizes: Sizes of the network; a cell of the fine grid is 4 pixels.
    """
    height, width = sizes.image_height // 4, sizes.image_width // 4
    size = torch.tensor([width, height], device=pixels.device)
    # The truth is shared out between the four cells around it, so that the expected position of
    # the target distribution is the truth itself.
    cell = (pixels + 1.0) * 0.5 * size - 0.5
    inside = ((cell >= 0.0) & (cell <= size - 1.0)).all(dim=-1)
    low = cell.clamp(min=0.0).minimum(size - 1.001).floor()
    part = (cell - low).clamp(0.0, 1.0)
    loss = torch.zeros_like(part[..., 0])
    for dx in (0, 1):
        for dy in (0, 1):
            share_x = part[..., 0] if dx else 1.0 - part[..., 0]
            share_y = part[..., 1] if dy else 1.0 - part[..., 1]
            index = ((low[..., 1] + dy) * width + low[..., 0] + dx).long()
            said = log_heat.gather(-1, index[..., None])[..., 0]
            loss = loss - share_x * share_y * said
    return (loss * inside).sum() / inside.sum().clamp(min=1)


def flow_loss(
    model: Nano,
    prefix: Prefix,
    batch: Batch,
    *,
    draws: int,
    generator: torch.Generator,
    max_delay: int = 0,
) -> Tensor:
    """Flow-matching error of the frames whose chunk belongs to their instruction; a scalar.

    With ``max_delay`` each draw is given up to so many leading rows clean, and only the others
    count (Black et al., 2025, "Training-Time Action Conditioning for Efficient Real-Time
    Chunking", arXiv 2512.05964).
    """
    size, rows, dim = batch.actions.shape
    device = generator.device
    noise = torch.randn((size, draws, rows, dim), generator=generator, device=device)
    time = sample_times((size, draws, 1), generator).expand(size, draws, rows)
    counts = torch.ones_like(time)
    if max_delay:
        delay = torch.randint(max_delay + 1, (size, draws, 1), generator=generator, device=device)
        counts = (torch.arange(rows, device=device) >= delay).float()
        time = time * counts  # flow time 0 is data
    actions = batch.actions[:, None].expand_as(noise)
    velocity = model.velocity(prefix, interpolate(actions, noise, time), time)
    error = (velocity - target_velocity(actions, noise)).square().mean(dim=3)
    error = ((error * counts).sum(dim=2) / counts.sum(dim=2)).mean(dim=1)
    follows = batch.follows.float()
    return (error * follows).sum() / follows.sum().clamp(min=1.0)


def blind_loss(
    model: Nano, batch: Batch, *, draws: int, generator: torch.Generator, max_delay: int = 0
) -> Tensor:
    """Flow error of frames without images, acting on the true positions; a scalar."""
    truth = noisy(target_positions(batch, model.sizes.objects), generator)
    prefix = model.encode(None, batch.state, batch.words, truth)
    return flow_loss(model, prefix, batch, draws=draws, generator=generator, max_delay=max_delay)


def nano_losses(
    model: Nano,
    batch: Batch,
    blind: Batch,
    *,
    draws: int,
    generator: torch.Generator,
    max_delay: int = 0,
) -> dict[str, Tensor]:
    """All loss terms, not yet weighted.

    Args:
        model: The network.
        batch: Training batch.
        blind: Training batch without images.
        draws: Independent (time, noise) pairs for each observation; they share its prefix.
        generator: Source of noise and times, on the batch's device.
        max_delay: Most leading rows given clean.

    Returns:
        Scalars ``flow``, ``blind``, ``target``, ``scene``, ``pixels`` and ``words``.
    """
    truth = target_positions(batch, model.sizes.objects)
    prefix = model.encode(batch.images, batch.state, batch.words, taught(truth, generator))
    said = prefix.readings
    assert said is not None  # images were given
    return {
        "flow": flow_loss(
            model, prefix, batch, draws=draws, generator=generator, max_delay=max_delay
        ),
        "blind": blind_loss(model, blind, draws=draws, generator=generator, max_delay=max_delay),
        "target": functional.mse_loss(said.target, truth),
        "scene": functional.mse_loss(said.scene, batch.scene),
        "pixels": pixel_loss(said.log_heat, batch.pixels, model.sizes),
        "words": functional.cross_entropy(said.object_logits, batch.object_index)
        + functional.cross_entropy(said.bin_logits, batch.bin_index),
    }


def total(losses: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Weighted sum."""
    return (
        losses["flow"]
        + weights.blind * losses["blind"]
        + weights.target * losses["target"]
        + weights.scene * losses["scene"]
        + weights.words * losses["words"]
        + weights.pixels * losses["pixels"]
    )
