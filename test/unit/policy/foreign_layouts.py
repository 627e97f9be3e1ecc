"""A checkpoint in LeRobot's layout of today, as openpi and older LeRobots keep it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file

from vla_ros.policy.families.pi0_weights import canonical


def normaliser_of(folder: Path) -> Path:
    (path,) = folder.glob("policy_preprocessor_step_*_normalizer_processor.safetensors")
    return path


def in_openpis_layout(
    folder: Path, target: Path, cameras: Sequence[str], statistics: Sequence[str]
) -> Path:
    """Of pi0 or pi0.5: what openpi keeps, in a folder of its own.

    Args:
        folder: The checkpoint.
        target: The new folder.
        cameras: Keys of its cameras.
        statistics: Which of those of each feature.
    """
    (target / "assets" / "my_robot").mkdir(parents=True)
    shutil.copytree(folder / "tokenizer", target / "tokenizer")
    weights = load_file(folder / "model.safetensors")
    save_file({canonical(k): v for k, v in weights.items()}, target / "model.safetensors")
    config = {"action_dim": 32, "action_horizon": 10, "paligemma_variant": "gemma_2b"}
    (target / "config.json").write_text(json.dumps(config))
    ours = load_file(normaliser_of(folder))
    norm = {
        theirs: {name: ours[f"{key}.{name}"].tolist() for name in statistics}
        for theirs, key in (("state", "observation.state"), ("actions", "action"))
    }
    path = target / "assets" / "my_robot" / "norm_stats.json"
    path.write_text(json.dumps({"norm_stats": norm}))
    declared = yaml.safe_load((folder / "vla.yaml").read_text())
    declared["cameras"] = {key: key for key in cameras}
    declared["options"]["resize"] = "torch"
    (target / "vla.yaml").write_text(yaml.safe_dump(declared))
    return target


def statistics_inside(folder: Path, statistics: dict[str, torch.Tensor]) -> None:
    """As LeRobot before 0.4 kept them: among the weights, and no files of processors."""
    weights = load_file(folder / "model.safetensors")
    for name, tensor in statistics.items():
        feature, _, statistic = name.rpartition(".")
        places = ["normalize_inputs"]
        if feature == "action":
            places = ["normalize_targets", "unnormalize_outputs"]
        for place in places:
            key = f"{place}.buffer_{feature.replace('.', '_')}.{statistic}"
            weights[key] = tensor.clone()
    save_file(weights, folder / "model.safetensors")
    for path in folder.glob("policy_*"):
        path.unlink()
