"""The image encoders of ACT and Diffusion Policy against LeRobot's answers (backbones/make.py)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2] / "golden" / "backbones"))

from pattern import patterned

from vla_ros.policy.families.diffusion import _PLACES
from vla_ros.policy.models.diffusion import DiffusionSizes, RgbEncoder, condition_dim
from vla_ros.policy.models.diffusion_unet import UnetSizes
from vla_ros.policy.models.resnet import FrozenBatchNorm, ResNet

GOLDEN = Path(__file__).parents[2] / "golden" / "backbones" / "golden.safetensors"


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN)


def filled(network: nn.Module, names: dict[str, str]) -> nn.Module:
    """With the pattern's weights; ``names``: ours -> LeRobot's, of which the pattern is made."""
    own = network.state_dict()
    weights = patterned({theirs: tuple(own[ours].shape) for ours, theirs in names.items()})
    network.load_state_dict({**own, **{ours: weights[names[ours]] for ours in names}})
    return network.eval()


def test_acts_image_encoder_is_lerobots(golden: dict[str, Tensor]) -> None:
    network = ResNet("resnet18", FrozenBatchNorm, width=16)
    filled(network, {name: name for name in network.state_dict()})
    with torch.inference_mode():
        features = network(golden["images"])
    torch.testing.assert_close(features, golden["act"], atol=2e-5, rtol=1e-5)


def test_diffusions_image_encoder_is_lerobots(golden: dict[str, Tensor]) -> None:
    keypoints = 5
    dim = condition_dim(state_dim=3, cameras=1, n_obs_steps=2, keypoints=keypoints)
    sizes = DiffusionSizes(
        state_dim=3,
        cameras=1,
        n_obs_steps=2,
        crop_shape=(85, 110),
        use_separate_rgb_encoder_per_camera=False,
        spatial_softmax_num_keypoints=keypoints,
        use_group_norm=True,
        vision_backbone="resnet18",
        backbone_width=16,
        unet=UnetSizes(action_dim=3, condition_dim=dim),
    )
    network = RgbEncoder(sizes)
    names = {
        name: re.sub(r"(backbone)\.(\w+)", lambda m: f"{m[1]}.{_PLACES[m[2]]}", name, count=1)
        for name in network.state_dict()
        if not name.endswith("pos_grid")
    }
    filled(network, names)
    with torch.inference_mode():
        answer = network(golden["images"])
    torch.testing.assert_close(answer, golden["diffusion"], atol=2e-5, rtol=1e-5)
