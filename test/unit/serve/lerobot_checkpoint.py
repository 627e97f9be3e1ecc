"""Writes a small random checkpoint with LeRobot's own code; run where LeRobot is installed.

python lerobot_checkpoint.py act|diffusion FOLDER
"""

from __future__ import annotations

import sys

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

FAMILY, FOLDER = sys.argv[1:]
STATE, ACTION, TOP = "observation.state", "action", "observation.images.top"
FEATURES = {
    "input_features": {
        STATE: PolicyFeature(FeatureType.STATE, (3,)),
        TOP: PolicyFeature(FeatureType.VISUAL, (3, 64, 64)),
    },
    "output_features": {ACTION: PolicyFeature(FeatureType.ACTION, (2,))},
    "pretrained_backbone_weights": None,
    "device": "cpu",
}


def config_of(family: str) -> ACTConfig | DiffusionConfig:
    """The smallest that shows everything."""
    if family == "act":
        return ACTConfig(
            **FEATURES,
            chunk_size=5,
            n_action_steps=5,
            dim_model=32,
            n_heads=4,
            dim_feedforward=64,
            n_encoder_layers=1,
            use_vae=False,
        )
    return DiffusionConfig(
        **FEATURES,
        n_obs_steps=2,
        horizon=8,
        n_action_steps=5,
        down_dims=(16, 32),
        n_groups=4,
        diffusion_step_embed_dim=16,
        crop_shape=(56, 60),
        num_train_timesteps=10,
    )


torch.manual_seed(0)
config = config_of(FAMILY)
policy = get_policy_class(FAMILY)(config)
stats = {
    STATE: {"mean": torch.tensor([10.0, 0.0, 1.0]), "std": torch.tensor([30.0, 1.0, 2.0])},
    ACTION: {"mean": torch.tensor([20.0, 0.5]), "std": torch.tensor([40.0, 0.5])},
    TOP: {"mean": torch.full((3, 1, 1), 0.5), "std": torch.full((3, 1, 1), 0.25)},
}
for values in stats.values():
    values |= {
        "min": values["mean"] - 2 * values["std"],
        "max": values["mean"] + 2 * values["std"],
    }
before, after = make_pre_post_processors(config, dataset_stats=stats)
policy.save_pretrained(FOLDER)
before.save_pretrained(FOLDER)
after.save_pretrained(FOLDER)
