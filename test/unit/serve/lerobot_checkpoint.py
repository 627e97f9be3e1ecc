"""Writes a small random ACT checkpoint with LeRobot's own code; run where LeRobot is installed.

python lerobot_checkpoint.py FOLDER
"""

from __future__ import annotations

import sys

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors

FOLDER = sys.argv[1]
STATE, ACTION, TOP = "observation.state", "action", "observation.images.top"

torch.manual_seed(0)
config = ACTConfig(
    input_features={
        STATE: PolicyFeature(FeatureType.STATE, (3,)),
        TOP: PolicyFeature(FeatureType.VISUAL, (3, 64, 64)),
    },
    output_features={ACTION: PolicyFeature(FeatureType.ACTION, (2,))},
    chunk_size=5,
    n_action_steps=5,
    dim_model=32,
    n_heads=4,
    dim_feedforward=64,
    n_encoder_layers=1,
    pretrained_backbone_weights=None,
    use_vae=False,
    device="cpu",
)
policy = ACTPolicy(config)
stats = {
    STATE: {"mean": torch.tensor([10.0, 0.0, 1.0]), "std": torch.tensor([30.0, 1.0, 2.0])},
    ACTION: {"mean": torch.tensor([20.0, 0.5]), "std": torch.tensor([40.0, 0.5])},
    TOP: {"mean": torch.full((3, 1, 1), 0.5), "std": torch.full((3, 1, 1), 0.25)},
}
before, after = make_pre_post_processors(config, dataset_stats=stats)
policy.save_pretrained(FOLDER)
before.save_pretrained(FOLDER)
after.save_pretrained(FOLDER)
