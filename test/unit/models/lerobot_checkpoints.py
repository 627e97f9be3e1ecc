"""Small checkpoints in LeRobot's layout with random weights, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.spaces.observation import Observation

JOINTS = ("a", "b", "c")
CAMERAS = ("top", "wrist")
SIZE = (32, 48)
DECLARATION = (
    "state_names: [a, b, c]\naction_names: [a, b, c]\nrate_hz: 20\ncameras: {front: top}\n"
)


def write_checkpoint(
    folder: Path, module: nn.Module, prefix: str, config: dict[str, Any], modes: dict[str, str]
) -> None:
    """Write a folder: ``module``'s weights under ``prefix``, ``config`` and random statistics."""
    folder.mkdir(parents=True)
    image = {"type": "VISUAL", "shape": [3, *SIZE]}
    vector = {"type": "STATE", "shape": [len(JOINTS)]}
    config = {
        "input_features": {
            **{f"observation.images.{key}": image for key in CAMERAS},
            "observation.state": vector,
        },
        "output_features": {"action": {**vector, "type": "ACTION"}},
        "normalization_mapping": modes,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vla.yaml").write_text(DECLARATION)
    weights = {prefix + name: tensor for name, tensor in module.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    statistics = random_statistics()
    for place, step, number in (("pre", "normalizer", 3), ("post", "unnormalizer", 0)):
        file = f"policy_{place}processor_step_{number}_{step}_processor.safetensors"
        entry = {
            "registry_name": f"{step}_processor",
            "config": {"eps": 1e-8, "norm_map": modes},
            "state_file": file,
        }
        text = json.dumps({"steps": [{"registry_name": "device_processor"}, entry]})
        (folder / f"policy_{place}processor.json").write_text(text)
        save_file(statistics, folder / file)


def random_statistics() -> dict[str, torch.Tensor]:
    """Mean, std, min and max of every feature."""
    generator = torch.Generator().manual_seed(5)
    out = {}
    shapes = {f"observation.images.{key}": (3, 1, 1) for key in CAMERAS}
    for feature, shape in {
        **shapes,
        "observation.state": (len(JOINTS),),
        "action": (len(JOINTS),),
    }.items():
        centre = torch.rand(shape, generator=generator)
        spread = 0.2 + torch.rand(shape, generator=generator)
        values = {
            "mean": centre,
            "std": spread,
            "min": centre - 2 * spread,
            "max": centre + 2 * spread,
        }
        out |= {f"{feature}.{name}": tensor for name, tensor in values.items()}
    return out


def random_request(spec: PolicySpec, *, seed: int | None = 4) -> PolicyRequest:
    """A request that fits."""
    rng = np.random.default_rng(3)
    images = {
        key: rng.integers(0, 255, (*spec.image_size, 3), np.uint8) for key in spec.camera_keys
    }
    observation = Observation(
        seq=0,
        t_obs_ns=0,
        start_ns=0,
        images=images,
        image_stamps_ns=dict.fromkeys(images, 0),
        state=rng.normal(size=len(spec.state_names)),
        state_stamp_ns=0,
        streams=(),
    )
    return PolicyRequest(observation=observation, prompt="pick it up", seed=seed)
