"""Where things are in the image, as a label for heat maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vla_ros.policy.models.nano import NanoSizes
from vla_ros.policy.models.vision import SpatialSoftmax
from vla_ros.train.losses import pixel_loss

SIZES = NanoSizes(
    cameras=1,
    image_height=32,
    image_width=64,
    state_dim=1,
    action_dim=1,
    horizon=1,
    words=3,
    objects=1,
    bins=0,
)


def fitted(pixel: tuple[float, float]) -> torch.Tensor:
    """The heat map, as logits, that the loss leads to. Shape (1, 1, 1, 8 * 16)."""
    logits = torch.zeros(1, 1, 1, 128, requires_grad=True)
    truth = torch.tensor(pixel).view(1, 1, 1, 2)
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(300):
        optimiser.zero_grad()
        pixel_loss(logits.log_softmax(-1), truth, SIZES).backward()
        optimiser.step()
    return logits.detach()


@pytest.mark.parametrize("pixel", [(0.1, -0.33), (-0.9, 0.8), (0.0, 0.0)])
def test_the_expected_position_of_a_fitted_heat_map_is_the_truth(
    pixel: tuple[float, float],
) -> None:
    weights = fitted(pixel).softmax(-1)[0, 0]
    found = SpatialSoftmax(8, 16)(weights[None])[0, 0]
    np.testing.assert_allclose(found.numpy(), pixel, atol=0.01)


def test_a_thing_out_of_view_asks_for_nothing() -> None:
    logits = torch.randn(1, 1, 1, 128, requires_grad=True)
    loss = pixel_loss(logits.log_softmax(-1), torch.full((1, 1, 1, 2), 9.0), SIZES)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) == 0.0
