"""Loading a checkpoint takes little more memory than its weights: they are never there twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import yaml
from lerobot_checkpoints import write_checkpoint
from loading_memory import write_zeros
from test_act_policy import CONFIG, MODES, SIZES

from benchmarks.speed.random_files import shapes_of
from vla_ros.policy.checkpoints.declaration import declaration_of
from vla_ros.policy.checkpoints.layouts import read_folder
from vla_ros.policy.checkpoints.vla_options import SmolVlaOptions, options_as
from vla_ros.policy.families.smolvla import smolvla_sizes
from vla_ros.policy.families.smolvla_weights import smolvla_parts
from vla_ros.policy.models.act import Act
from vla_ros.policy.models.act_layers import ActSizes
from vla_ros.policy.models.smolvla import SmolVla

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parents[2] / "golden"
PEAK = 1.15  # most memory while loading, in weights

Shapes = Mapping[str, tuple[int, ...]]


def small_and_large_smolvla(place: Path, dtype: str) -> tuple[Path, Path, Shapes]:
    """The tiny reference checkpoint, and one of 80 million weights."""
    small = GOLDEN / "smolvla" / "checkpoint"
    large = Path(shutil.copytree(small, place / "large"))
    declared = yaml.safe_load((large / "vla.yaml").read_text())
    options = declared["options"]
    options |= {"dtype": dtype, "shifted_positions": False}
    options["sizes"]["language"] |= {"width": 512, "hidden": 2048, "heads": 8, "head_size": 64}
    options["sizes"]["expert"]["hidden"] = 2048
    options["sizes"]["words"] = 30_000
    (large / "vla.yaml").write_text(yaml.safe_dump(declared))
    asked = options_as(SmolVlaOptions, declaration_of(large))
    sizes = smolvla_sizes(read_folder(large, quantiles=False), asked)
    with torch.device("meta"):
        shapes = shapes_of(SmolVla(sizes), smolvla_parts(sizes))
    return small, large, {f"model.{name}": shape for name, shape in shapes.items()}


def small_and_large_act(place: Path) -> tuple[Path, Path, Shapes]:
    """A tiny one, and one of 40 million weights."""
    model = Act(ActSizes(state_dim=3, action_dim=3, backbone_width=2, **SIZES))
    write_checkpoint(place / "small", model, "model.", CONFIG, MODES)
    large = Path(shutil.copytree(place / "small", place / "large"))
    sizes = {"dim_model": 512, "dim_feedforward": 2048, "n_heads": 8, "n_encoder_layers": 6}
    config = json.loads((large / "config.json").read_text()) | sizes
    (large / "config.json").write_text(json.dumps(config))
    with torch.device("meta"):
        whole = Act(ActSizes(state_dim=3, action_dim=3, backbone_width=2, **{**SIZES, **sizes}))
    shapes = {f"model.{name}": tuple(x.shape) for name, x in whole.state_dict().items()}
    return place / "small", large, shapes


@pytest.mark.parametrize("kind", ["smolvla, float32", "smolvla, bfloat16", "act"])
def test_a_checkpoint_is_never_in_memory_twice_while_it_is_loaded(kind, tmp_path):
    family, _, dtype = kind.partition(", ")
    made = small_and_large_act if family == "act" else small_and_large_smolvla
    small, large, shapes = made(tmp_path, *([dtype] if dtype else []))
    write_zeros(large / "model.safetensors", shapes)
    numbers = sum(torch.Size(shape).numel() for shape in shapes.values())
    weights = numbers * (2 if dtype == "bfloat16" else 4)
    assert weights > 60e6
    assert 0.9 < grown(small, large) / weights < PEAK


def grown(small: Path, large: Path) -> int:
    """By how many bytes a process grows at most that loads the large one after the small one."""
    script = Path(__file__).parent / "loading_memory.py"
    done = subprocess.run(
        [sys.executable, str(script), str(small), str(large)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return int(done.stdout.split()[-1])
