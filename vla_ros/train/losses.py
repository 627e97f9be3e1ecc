"""Losses of nano: the flow, and auxiliary heads that make it look and listen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vla_ros.policy.models.flow import interpolate, sample_times, target_velocity
from vla_ros.policy.models.nano import Nano
from vla_ros.train.batches import Batch


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Factors of the sum.

    Attributes:
        target: Where the asked object and bin are.
        scene: Where all objects and bins are.
        words: Which object and bin the words ask for.
    """

    target: float = 0.5
    scene: float = 0.3
    words: float = 0.1


def target_positions(batch: Batch, objects: int) -> Tensor:
    """Asked object x y z, asked bin x y. Shape (B, 5)."""
    row = torch.arange(len(batch.state), device=batch.state.device)
    asked = batch.scene[row, batch.object_index]
    place = batch.scene[row, objects + batch.bin_index, :2]
    return torch.cat([asked, place], dim=-1)


def nano_losses(
    model: Nano, batch: Batch, *, draws: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """All loss terms, not yet weighted.

    Args:
        model: The network.
        batch: Training batch.
        draws: Independent (time, noise) pairs for each observation; they share its prefix.
        generator: Source of noise and times, on the batch's device.

    Returns:
        Scalars ``flow``, ``target``, ``scene`` and ``words``.
    """
    prefix = model.encode(batch.images, batch.state, batch.words)
    said = model.read(prefix)
    size, rows, dim = batch.actions.shape
    noise = torch.randn(
        (size, draws, rows, dim), generator=generator, device=generator.device
    )
    time = sample_times((size, draws, 1), generator).expand(size, draws, rows)
    actions = batch.actions[:, None].expand_as(noise)
    velocity = model.velocity(prefix, interpolate(actions, noise, time), time)
    error = (velocity - target_velocity(actions, noise)).square().mean(dim=(1, 2, 3))
    follows = batch.follows.float()
    objects = model.sizes.objects
    return {
        "flow": (error * follows).sum() / follows.sum().clamp(min=1.0),
        "target": F.mse_loss(said.target, target_positions(batch, objects)),
        "scene": F.mse_loss(said.scene, batch.scene[..., :2]),
        "words": F.cross_entropy(said.object_logits, batch.object_index)
        + F.cross_entropy(said.bin_logits, batch.bin_index),
    }


def total(losses: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Weighted sum."""
    return (
        losses["flow"]
        + weights.target * losses["target"]
        + weights.scene * losses["scene"]
        + weights.words * losses["words"]
    )
