"""Each family in each layout that users have gives one chunk, and leaves alone what it needs not.

Other layouts than LeRobot's of today are made of it by moving statistics and renaming weights.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "models"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "policy"))

from foreign_layouts import in_openpis_layout, normaliser_of, statistics_inside
from lerobot_checkpoints import random_request, random_statistics
from test_diffusion_policy import write

from vla_ros.errors import VlaError
from vla_ros.policy.load import load_policy
from vla_ros.policy.processors import tokens
from vla_ros.policy.protocol import Policy, PolicyRequest
from vla_ros.policy.remote.blank import blank_request

HERE = Path(__file__).parent


@pytest.fixture
def copy(tmp_path: Path):
    return lambda name: Path(shutil.copytree(HERE / name / "checkpoint", tmp_path / name))


def request_for(policy: Policy) -> PolicyRequest:
    """Something to see, and a state that is not zero."""
    blank = blank_request(policy.spec, "open the drawer")
    rng = np.random.default_rng(6)
    images = {
        key: rng.integers(0, 255, image.shape, np.uint8)
        for key, image in blank.observation.images.items()
    }
    state = rng.uniform(-0.5, 0.5, len(policy.spec.state_names))
    observation = replace(blank.observation, images=images, state=state)
    return replace(blank, observation=observation, seed=3)


def test_pi05_in_openpis_layout_is_told_from_pi0_by_its_weights_and_uses_quantiles(copy, tmp_path):
    folder = copy("pi05")
    ours = load_policy(str(folder))
    statistics = ("mean", "std", "q01", "q99")
    target = in_openpis_layout(folder, tmp_path / "openpi", ours.spec.camera_keys, statistics)
    theirs = load_policy(str(target))
    assert theirs.spec.name == "pi05"
    request = request_for(ours)
    # openpi adds 1e-6 to each range, which the tiny network makes larger.
    np.testing.assert_allclose(theirs.infer(request), ours.infer(request), atol=1e-3)


def test_smolvla_from_before_lerobot_0_4_gives_the_same_chunk(copy):
    folder = copy("smolvla")
    ours = load_policy(str(folder))
    request = request_for(ours)
    expected = ours.infer(request)
    statistics_inside(folder, load_file(normaliser_of(folder)))
    np.testing.assert_array_equal(load_policy(str(folder)).infer(request), expected)


def test_diffusion_policy_from_before_lerobot_0_4_gives_the_same_chunk(tmp_path):
    folder = write(tmp_path / "diffusion")
    ours = load_policy(str(folder))
    request = random_request(ours.spec)
    expected = ours.infer(request)
    statistics_inside(folder, random_statistics())
    np.testing.assert_array_equal(load_policy(str(folder)).infer(request), expected)


@pytest.mark.parametrize(
    ("name", "unused"),
    [
        ("pi0", "model.paligemma_with_expert.gemma_expert.lm_head.weight"),
        ("pi05", "model.paligemma_with_expert.gemma_expert.lm_head.weight"),
        ("smolvla", "model.vlm_with_expert.vlm.lm_head.weight"),
        ("smolvla", "model.vlm_with_expert.vlm.model.text_model.layers.9.mlp.up_proj.weight"),
    ],
)
def test_published_files_hold_weights_that_only_text_needs_and_load_with_them(copy, name, unused):
    folder = copy(name)
    ours = load_policy(str(folder))
    request = request_for(ours)
    weights = load_file(folder / "model.safetensors")
    assert unused not in weights
    save_file({**weights, unused: torch.ones(320, 48)}, folder / "model.safetensors")
    np.testing.assert_array_equal(load_policy(str(folder)).infer(request), ours.infer(request))


def test_a_word_table_beside_the_tied_head_is_the_one_that_counts(copy):
    folder = copy("pi0")
    head = "model.paligemma_with_expert.paligemma.lm_head.weight"
    table = "model.paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight"
    ours = load_policy(str(folder))
    request = request_for(ours)
    weights = load_file(folder / "model.safetensors")
    weights[table], weights[head] = weights[head], torch.zeros_like(weights[head])
    save_file(weights, folder / "model.safetensors")
    np.testing.assert_array_equal(load_policy(str(folder)).infer(request), ours.infer(request))


def test_a_tokenizer_that_the_hub_does_not_give_is_said_with_the_file_to_bring(copy, monkeypatch):
    folder = copy("smolvla")
    declared = yaml.safe_load((folder / "vla.yaml").read_text())
    name = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"
    (folder / "vla.yaml").write_text(yaml.safe_dump({**declared, "tokenizer": name}))

    class Offline:
        @staticmethod
        def from_pretrained(_name: str) -> None:
            raise OSError("no network")

    monkeypatch.setattr(tokens, "Tokenizer", Offline)
    with pytest.raises(VlaError) as error:
        load_policy(str(folder))
    for words in ("no network", name, "tokenizer.json", "vla.yaml"):
        assert words in str(error.value)
