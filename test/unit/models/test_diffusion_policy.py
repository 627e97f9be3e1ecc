"""Diffusion Policy checkpoints: strict, repeatable, and aware of what was seen before."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))

from contract import MovablePolicyContract
from lerobot_checkpoints import SIZE, random_request, write_checkpoint

from vla_ros.errors import VlaError
from vla_ros.policy.families.diffusion import _PLACES
from vla_ros.policy.load import load_policy
from vla_ros.policy.models.diffusion import Diffusion, DiffusionSizes, condition_dim
from vla_ros.policy.models.diffusion_unet import UnetSizes
from vla_ros.policy.protocol import PolicyRequest

MODES = {"VISUAL": "MEAN_STD", "STATE": "MIN_MAX", "ACTION": "MIN_MAX"}
CONFIG = {
    "type": "diffusion",
    "n_obs_steps": 2,
    "horizon": 8,
    "n_action_steps": 4,
    "vision_backbone": "resnet18",
    "resize_shape": None,
    "crop_shape": [30, 40],
    "use_group_norm": True,
    "spatial_softmax_num_keypoints": 4,
    "use_separate_rgb_encoder_per_camera": False,
    "down_dims": [8, 16],
    "kernel_size": 3,
    "n_groups": 4,
    "diffusion_step_embed_dim": 8,
    "use_film_scale_modulation": True,
    "noise_scheduler_type": "DDPM",
    "num_train_timesteps": 10,
    "num_inference_steps": None,
    "beta_schedule": "squaredcos_cap_v2",
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "prediction_type": "epsilon",
    "clip_sample": True,
    "clip_sample_range": 1.0,
}


class Renamed(torch.nn.Module):
    """A network whose ResNets have LeRobot's names in its state dictionary."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def state_dict(self) -> dict[str, torch.Tensor]:  # type: ignore[override]
        out = {}
        for name, tensor in self.model.state_dict().items():
            head, backbone, rest = name.partition("backbone.")
            part, dot, tail = rest.partition(".")
            out[head + backbone + _PLACES.get(part, part) + dot + tail] = tensor
        return out


def write(folder: Path, **changes: object) -> Path:
    config = {**CONFIG, **changes}
    torch.manual_seed(2)
    keypoints = 4
    sizes = DiffusionSizes(
        state_dim=3,
        cameras=2,
        n_obs_steps=2,
        crop_shape=tuple(config["crop_shape"] or SIZE),  # type: ignore[arg-type]
        use_separate_rgb_encoder_per_camera=bool(config["use_separate_rgb_encoder_per_camera"]),
        spatial_softmax_num_keypoints=keypoints,
        use_group_norm=bool(config["use_group_norm"]),
        vision_backbone="resnet18",
        backbone_width=16,
        unet=UnetSizes(
            action_dim=3,
            condition_dim=condition_dim(state_dim=3, cameras=2, n_obs_steps=2, keypoints=keypoints),
            down_dims=(8, 16),
            kernel_size=3,
            n_groups=4,
            diffusion_step_embed_dim=8,
        ),
    )
    write_checkpoint(folder, Renamed(Diffusion(sizes)), "diffusion.", config, MODES)
    return folder


class TestDiffusionKeepsThePolicyContract(MovablePolicyContract):
    @pytest.fixture
    def policy(self, tmp_path):
        return load_policy(str(write(tmp_path / "diffusion")))

    @pytest.fixture
    def request_(self, policy) -> PolicyRequest:
        return random_request(policy.spec)


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_scheduler_type": "DDIM", "num_inference_steps": 5},
        {"use_separate_rgb_encoder_per_camera": True},
        {"use_group_norm": False},
        {"crop_shape": None},
        {"beta_schedule": "linear", "prediction_type": "sample"},
    ],
)
def test_every_form_loads_and_answers(tmp_path: Path, changes: dict[str, object]) -> None:
    policy = load_policy(str(write(tmp_path / "diffusion", **changes)))
    assert policy.infer(random_request(policy.spec)).shape == (4, 3)


def test_what_was_seen_before_changes_the_chunk_and_stands_in_where_missing(
    tmp_path: Path,
) -> None:
    policy = load_policy(str(write(tmp_path / "diffusion")))
    assert policy.spec.n_obs_steps == 2
    alone = random_request(policy.spec)
    same = dataclasses.replace(alone, history=(alone.observation,))
    moved = dataclasses.replace(alone.observation, state=alone.observation.state + 0.5)
    np.testing.assert_array_equal(policy.infer(alone), policy.infer(same))
    other = policy.infer(dataclasses.replace(alone, history=(moved,)))
    assert np.abs(other - policy.infer(alone)).max() > 1e-4


def test_degrees_in_place_of_radians_are_refused_at_the_first_state_of_a_run(
    tmp_path: Path,
) -> None:
    policy = load_policy(str(write(tmp_path / "diffusion")))
    request = random_request(policy.spec)
    far = dataclasses.replace(request.observation, state=request.observation.state + 500.0)
    with pytest.raises(VlaError, match="units"):
        policy.infer(dataclasses.replace(request, observation=far))
    policy.infer(request)
    policy.infer(dataclasses.replace(request, observation=far))


def test_another_seed_gives_another_chunk(tmp_path: Path) -> None:
    policy = load_policy(str(write(tmp_path / "diffusion")))
    a, b = (policy.infer(random_request(policy.spec, seed=seed)) for seed in (1, 2))
    assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize(
    "changes",
    [
        {"n_action_steps": 8},
        {"num_inference_steps": 11},
        {"noise_scheduler_type": "Euler"},
        {"beta_schedule": "cosine"},
        {"prediction_type": "v_prediction"},
        {"crop_shape": [40, 40]},
        {"resize_shape": [16, 16]},
    ],
)
def test_a_configuration_we_do_not_have_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    folder = write(tmp_path / "diffusion")
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(VlaError):
        load_policy(str(folder))
