"""nano, pulled towards a chunk through its Jacobian, against finite differences of the network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vla_ros.policy.models.flow import FlowGuidance, euler_times
from vla_ros.policy.models.nano import Nano, NanoSizes, Prefix

STEPS, STEP = 3, 2e-2
SIZES = NanoSizes(
    cameras=1,
    image_height=32,
    image_width=32,
    state_dim=3,
    action_dim=3,
    horizon=5,
    words=10,
    objects=2,
    bins=2,
    width=32,
    heads=2,
    hidden=48,
    prefix_blocks=1,
    expert_blocks=2,
    channels=(8, 8, 8),
    keypoints=4,
    word_width=16,
    instruction_width=16,
)


@pytest.fixture(scope="module")
def nano() -> Nano:
    torch.manual_seed(0)
    model = Nano(SIZES).eval().requires_grad_(False)
    for weight in model.expert.parameters():
        if weight.ndim > 1:
            weight.normal_(std=1.5 * weight[0].numel() ** -0.5)  # so that nothing is nearly linear
    return model


@pytest.fixture(scope="module")
def prefix(nano: Nano) -> Prefix:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (1, 1, 32, 32, 3), generator=generator).to(torch.uint8)
    with torch.no_grad():
        return nano.encode(images, torch.tensor([[0.1, -0.4, 0.8]]), torch.tensor([[2, 5, 3]]))


def ends(nano: Nano, prefix: Prefix, x: Tensor, time: float) -> Tensor:
    """Where the flow ends by the velocity at many places at once. Shape (K, T, A) -> same."""
    at = torch.full((1, len(x), x.shape[1]), time)
    with torch.no_grad():
        return x - time * nano.velocity(prefix, x[None], at)[0]


def jacobian(nano: Nano, prefix: Prefix, x: Tensor, time: float) -> Tensor:
    """Of the end, by central differences. Shape (T, A) -> (T * A, T * A): of each end, to each."""
    steps = STEP * torch.eye(x.numel()).view(-1, *x.shape)
    there, here = ends(nano, prefix, torch.cat([x + steps, x - steps]), time).split(x.numel())
    return ((there - here) / (2.0 * STEP)).flatten(1).T


def guided(nano: Nano, prefix: Prefix, noise: Tensor, guidance: FlowGuidance) -> Tensor:
    """The paper's algorithm, written out. Shape (T, A)."""
    x = noise
    for time in euler_times(STEPS):
        end = ends(nano, prefix, x[None], time)[0]
        velocity = (x - end) / time
        error = (guidance.target[0] - end) * guidance.weights[:, None]
        pull = (jacobian(nano, prefix, x, time).T @ error.flatten()).view_as(x)
        x = x - (velocity - guidance.strength(time) * pull) / STEPS
    return x


def test_a_chunk_guided_through_the_jacobian_is_that_of_finite_differences(nano, prefix):
    generator = torch.Generator().manual_seed(2)
    noise, target = torch.randn(2, 1, 5, 3, generator=generator)
    chunks = {}
    for kind in ("none", "full"):
        guidance = FlowGuidance(
            target=target,
            weights=torch.tensor([1.0, 1.0, 0.6, 0.2, 0.0]),
            max_weight=5.0,
            jacobian=kind,
        )
        with torch.no_grad():
            chunks[kind] = nano.sample(prefix, noise, nano.schedule(STEPS), guidance)[0]
    expected = guided(nano, prefix, noise[0], guidance)
    assert float((chunks["full"] - chunks["none"]).abs().max()) > 0.1
    torch.testing.assert_close(chunks["full"], expected, atol=5e-3, rtol=0.0)
