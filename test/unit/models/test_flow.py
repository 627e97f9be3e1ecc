"""The flow: convention, sampler, times."""

from __future__ import annotations

import pytest
import torch

from vla_ros.chunks import rtc
from vla_ros.policy.models.flow import (
    FlowGuidance,
    euler_sample,
    interpolate,
    sample_times,
    target_velocity,
    yielded,
)


def test_time_one_is_noise_and_time_zero_is_data() -> None:
    actions, noise = torch.full((1, 4, 2), 3.0), torch.full((1, 4, 2), -1.0)
    assert torch.equal(interpolate(actions, noise, torch.zeros(1, 4)), actions)
    assert torch.equal(interpolate(actions, noise, torch.ones(1, 4)), noise)


def test_time_is_taken_per_token() -> None:
    actions, noise = torch.zeros(1, 3, 2), torch.ones(1, 3, 2)
    mixed = interpolate(actions, noise, torch.tensor([[0.0, 0.5, 1.0]]))
    assert torch.allclose(mixed[0, :, 0], torch.tensor([0.0, 0.5, 1.0]))


@pytest.mark.parametrize("num_steps", [1, 3, 10])
def test_the_straight_field_of_one_pair_is_integrated_exactly(num_steps: int) -> None:
    torch.manual_seed(0)
    actions, noise = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    velocity = target_velocity(actions, noise)
    out = euler_sample(lambda x, t: velocity, noise, num_steps=num_steps)
    assert torch.allclose(out, actions, atol=1e-6)


def test_the_field_of_a_gaussian_is_integrated_to_its_closed_form() -> None:
    # For data N(0, s^2) and noise N(0, 1) the marginal velocity is x (t - (1-t) s^2) / var(t),
    # var(t) = t^2 + (1-t)^2 s^2, whose flow maps noise z to s * z.
    deviation = 0.3

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        var = t**2 + (1 - t) ** 2 * deviation**2
        return x * (t - (1 - t) * deviation**2) / var

    noise = torch.linspace(-2, 2, 8).view(1, 8, 1)
    coarse = euler_sample(velocity, noise, num_steps=50)
    fine = euler_sample(velocity, noise, num_steps=1000)
    expected = deviation * noise
    assert (fine - expected).abs().max() < 2e-3
    assert (coarse - expected).abs().max() > 4 * (fine - expected).abs().max()


def test_the_sampler_asks_at_exact_times() -> None:
    asked: list[float] = []

    def velocity(x: torch.Tensor, time: float) -> torch.Tensor:
        asked.append(time)
        return torch.zeros_like(x)

    euler_sample(velocity, torch.zeros(1, 2, 1), num_steps=10)
    exact = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 1.0 - 0.7, 1.0 - 0.8, 1.0 - 0.9]
    assert asked == exact


def test_a_sure_policy_is_bent_by_no_plan_where_the_jacobian_is_estimated_or_known() -> None:
    """Of two columns the policy is sure of one; both disagree with the plan by 1."""
    deviation = torch.tensor([0.03, 1.0])

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        var = t**2 + (1 - t) ** 2 * deviation**2
        return x * (t - (1 - t) * deviation**2) / var

    ends = {}
    for jacobian in ("none", "estimated", "full"):
        guidance = FlowGuidance(
            target=torch.ones(1, 6, 2), weights=torch.ones(6), max_weight=5.0, jacobian=jacobian
        )
        ends[jacobian] = euler_sample(
            velocity, torch.zeros(1, 6, 2), num_steps=10, guidance=guidance
        ).mean(dim=1)[0]
    assert float(ends["none"][0]) > 0.5
    assert float(ends["estimated"][0]) < 0.05
    assert float(ends["full"][0]) < 0.05
    for end in ends.values():
        assert float(end[1]) == pytest.approx(1.0, abs=0.1)


def test_each_of_a_batch_yields_by_itself_as_the_schedule_says() -> None:
    torch.manual_seed(0)
    first, left = torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    first[1] = left[1] = 0.0
    share = yielded(left, first)
    for k in range(3):
        expected = rtc.yielded(left[k].double().numpy(), first[k].double().numpy())
        assert share[k, 0].numpy() == pytest.approx(expected, abs=1e-5)


def test_training_times_lean_towards_noise() -> None:
    times = sample_times((20000,), torch.Generator().manual_seed(0))
    assert float(times.min()) >= 0.001
    assert float(times.max()) <= 1.0
    assert abs(float(times.mean()) - (0.6 * 0.999 + 0.001)) < 0.01
