"""Diffusion Policy's network and samplers against LeRobot's answers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lerobot_golden import golden_folder
from safetensors.torch import load_file
from torch import Tensor

from vla_ros.policy.checkpoints.lerobot_folder import ACTION
from vla_ros.policy.families.diffusion import read_sampling
from vla_ros.policy.models.diffusion import diffusion_loss
from vla_ros.policy.models.diffusion_noise import NoiseSchedule, kept_share, squared_cosine
from vla_ros.policy.models.diffusion_unet import Unet, UnetSizes

GOLDEN = Path(__file__).parents[2] / "golden" / "diffusion" / "golden.safetensors"
SCHEDULE = NoiseSchedule(kept=kept_share(squared_cosine(20)))


def never() -> Tensor:
    raise AssertionError("nothing should be drawn")


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN)


@pytest.fixture(scope="module")
def unet(golden: dict[str, Tensor]) -> Unet:
    sizes = UnetSizes(
        action_dim=7,
        condition_dim=golden["condition"].shape[1],
        down_dims=(32, 64),
        diffusion_step_embed_dim=32,
    )
    unet, prefix = Unet(sizes), "weights."
    weights = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
    unet.load_state_dict(weights)
    return unet.eval()


def test_the_schedule_is_diffusers(golden: dict[str, Tensor]) -> None:
    torch.testing.assert_close(SCHEDULE.kept, golden["kept"], atol=0, rtol=1e-6)


def test_noise_is_put_on_as_in_diffusers(golden: dict[str, Tensor]) -> None:
    noisy = SCHEDULE.add_noise(golden["actions"], golden["loss_noise"], golden["loss_time"])
    torch.testing.assert_close(noisy, golden["noisy"], atol=1e-6, rtol=1e-6)


def test_the_networks_answer_is_lerobots(unet: Unet, golden: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        answer = unet(golden["noise"], torch.full((2,), 5), golden["condition"])
    torch.testing.assert_close(answer, golden["answer_at_5"], atol=2e-5, rtol=1e-4)


def test_a_sample_with_the_same_draws_is_lerobots(unet: Unet, golden: dict[str, Tensor]) -> None:
    draws = iter(golden["draws"])
    with torch.inference_mode():
        sample = SCHEDULE.sample(
            lambda x, time: unet(x, torch.full((2,), time), golden["condition"]),
            golden["noise"],
            sampler="DDPM",
            steps=20,
            draw=lambda: next(draws),
        )
    torch.testing.assert_close(sample, golden["sample"], atol=1e-4, rtol=0)
    assert next(draws, None) is None


def test_the_rows_answered_and_their_units_are_lerobots(golden: dict[str, Tensor]) -> None:
    folder = golden_folder(GOLDEN.parent, golden)
    sampling = read_sampling(folder)
    assert (sampling.sampler, sampling.steps) == ("DDPM", 20)
    rows = golden["sample"][:, sampling.rows]
    torch.testing.assert_close(rows, golden["rows"], atol=0, rtol=0)
    robot = torch.from_numpy(folder.normaliser(ACTION).invert(rows.numpy()))
    torch.testing.assert_close(robot, golden["robot"], atol=1e-5, rtol=0)


def test_the_training_loss_is_lerobots(unet: Unet, golden: dict[str, Tensor]) -> None:
    network: Any = SimpleNamespace(unet=unet)
    given = (golden[name] for name in ("condition", "actions", "loss_noise", "loss_time"))
    with torch.inference_mode():
        loss = diffusion_loss(network, SCHEDULE, *given)
    torch.testing.assert_close(loss, golden["loss"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_ddim_reaches_a_known_end_in_any_number_of_steps(steps: int, prediction: str) -> None:
    # All data at one point: the noise in a sample is then known exactly.
    schedule = NoiseSchedule(kept=SCHEDULE.kept, prediction=prediction)  # type: ignore[arg-type]
    torch.manual_seed(0)
    end, start = torch.rand(1, 4, 3) - 0.5, torch.randn(1, 4, 3)

    def perfect(x: Tensor, time: int) -> Tensor:
        kept = schedule.kept[time]
        return end if prediction == "sample" else (x - kept.sqrt() * end) / (1 - kept).sqrt()

    out = schedule.sample(perfect, start, sampler="DDIM", steps=steps, draw=never)
    torch.testing.assert_close(out, end, atol=1e-4, rtol=0)


def test_ddim_keeps_a_gaussians_spread() -> None:
    # Data N(0, s^2): the best estimate of the noise in x is x sqrt(1 - kept) / var(x), and the
    # continuous flow maps noise z to s z.
    spread, schedule = 0.2, NoiseSchedule(kept=kept_share(squared_cosine(1000)), clip=None)

    def best(x: Tensor, time: int) -> Tensor:
        kept = schedule.kept[time]
        return x * (1 - kept).sqrt() / (kept * spread**2 + 1 - kept)

    noise = torch.linspace(-2, 2, 9).view(1, 9, 1)
    out = schedule.sample(best, noise, sampler="DDIM", steps=500, draw=never)
    torch.testing.assert_close(out, spread * noise, atol=0.02, rtol=0)


def test_estimates_are_clipped_to_the_range_of_the_data() -> None:
    out = SCHEDULE.sample(
        lambda x, time: torch.full_like(x, -50.0),
        torch.zeros(1, 2, 1),
        sampler="DDPM",
        steps=20,
        draw=lambda: torch.zeros(1, 2, 1),
    )
    torch.testing.assert_close(out, torch.ones(1, 2, 1))
