"""Policies that are a language model: a tiny LLaVA whose words are all actions."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot_checkpoints import random_request
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))

from contract import MovablePolicyContract

from vla_ros.errors import VlaError
from vla_ros.policy.families.action_tokens import ActionTokenPolicy
from vla_ros.policy.first_look import ObservationMismatch
from vla_ros.policy.load import load_policy
from vla_ros.policy.models.binned import ActionTokens, BinError, BinnedActions
from vla_ros.policy.protocol import PolicyRequest

pytestmark = pytest.mark.slow  # transformers alone takes seconds to import

TEXT = Path(__file__).parents[2] / "golden" / "pi0" / "checkpoint" / "tokenizer" / "tokenizer.json"
WORDS = 640
JOINTS = ["a", "b", "c"]
STATISTICS = {
    "q01": [-0.5, 0.1, 0.2],
    "q99": [0.5, 0.4, 0.3],
    "min": [-0.9, 0.0, 0.0],
    "max": [0.9, 1.0, 1.0],
    "mask": [True, True, False],
}
ABOUT = {
    "state_names": JOINTS,
    "action_names": JOINTS,
    "cameras": {"front": "left", "wrist": "right"},
    "image_size": [24, 32],
    "rate_hz": 10,
    "options": {"horizon": 2},
}


def write_llava(folder: Path) -> None:
    """Random weights; the scores of all words but the last 256 are zero, so it says actions."""
    from transformers import (
        CLIPImageProcessorPil,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    text = PreTrainedTokenizerFast(
        tokenizer_file=str(TEXT), bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )
    text.add_special_tokens({"additional_special_tokens": ["<image>"]})
    images = CLIPImageProcessorPil(
        size={"height": 28, "width": 28}, crop_size={"height": 28, "width": 28}
    )
    LlavaProcessor(
        images,
        text,
        patch_size=14,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    torch.manual_seed(5)
    config = LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "patch_size": 14,
            "image_size": 28,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "vocab_size": WORDS,
            "tie_word_embeddings": False,
        },
        image_token_index=text.convert_tokens_to_ids("<image>"),
    )
    model = LlavaForConditionalGeneration(config)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    torch.nn.init.normal_(model.model.get_input_embeddings().weight)
    model.lm_head.weight.data[: WORDS - 256] = 0.0
    model.generation_config.do_sample, model.generation_config.top_k = True, 3
    model.save_pretrained(folder)
    (folder / "dataset_statistics.json").write_text(json.dumps({"mine": {"action": STATISTICS}}))
    (folder / "vla.yaml").write_text(json.dumps(ABOUT))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokens") / "checkpoint"
    write_llava(folder)
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture
def policy(made) -> ActionTokenPolicy:
    policy = load_policy(str(made))
    assert isinstance(policy, ActionTokenPolicy)
    return policy


def declare(folder: Path, **options: object) -> str:
    about = {**ABOUT, "options": {**ABOUT["options"], **options}}
    (folder / "vla.yaml").write_text(json.dumps(about))
    return str(folder)


def test_more_memory_than_there_is_is_refused_before_loading(made, monkeypatch):
    class Little:
        available = 1000

    monkeypatch.setattr("vla_ros.policy.checkpoints.weights.psutil.virtual_memory", lambda: Little)
    with pytest.raises(VlaError, match="GB of memory"):
        load_policy(str(made))


def test_a_truncated_file_of_weights_is_refused(folder):
    (path,) = folder.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(VlaError, match="truncated"):
        load_policy(str(folder))


class TestActionTokensKeepThePolicyContract(MovablePolicyContract):
    @pytest.fixture
    def policy(self, made):
        return load_policy(str(made))

    @pytest.fixture
    def request_(self, policy):
        return random_request(policy.spec)

    def test_everything_is_computed_on_the_device_it_is_moved_to(
        self, policy, request_, monkeypatch
    ):
        """transformers decides on numbers as it goes, which `meta` lacks: what goes in is there."""

        def generate(generation_config, **given):
            assert {value.device.type for value in given.values()} == {"meta"}
            return torch.full((1, given["input_ids"].shape[1] + 6), WORDS - 1)

        policy.to(torch.device("meta"))
        assert {weight.device.type for weight in policy._model.parameters()} == {"meta"}
        monkeypatch.setattr(policy._model, "generate", generate)
        policy.infer(request_)


def test_the_chunk_is_what_openvla_makes_of_the_tokens(policy):
    """Its formulas: ``vocabulary - id``, bin centres of 256 edges from -1 to 1, percentiles."""
    request = random_request(policy.spec)
    images = [request.observation.images[key] for key in policy.spec.camera_keys]
    ids = np.array(policy._say(images, request.prompt, 0)).reshape(2, 3)
    edges = np.linspace(-1.0, 1.0, 256)
    centres = (edges[:-1] + edges[1:]) / 2.0
    normal = centres[np.clip(WORDS - ids - 1, 0, 254)]
    low, high = np.array(STATISTICS["q01"]), np.array(STATISTICS["q99"])
    expected = np.where(STATISTICS["mask"], 0.5 * (normal + 1) * (high - low) + low, normal)
    np.testing.assert_allclose(policy.infer(request), expected, atol=1e-12)
    assert len(set(ids.ravel().tolist())) > 2


def test_it_is_asked_with_the_task_and_a_place_for_each_image(policy, monkeypatch):
    asked = {}
    ask = type(policy._processor).__call__

    def listen(self, **given):
        asked.update(given)
        return ask(self, **given)

    monkeypatch.setattr(type(policy._processor), "__call__", listen)
    policy.infer(random_request(policy.spec))
    text = "<image><image>In: What action should the robot take to pick it up?\nOut:"
    assert asked["text"] == [text]
    assert len(asked["images"][0]) == 2


def test_image_and_task_both_move_the_chunk(policy):
    request = random_request(policy.spec)
    images = [request.observation.images[key] for key in policy.spec.camera_keys]
    chosen = {str(policy._say(images, task, 0)) for task in ("a b", "c d", "e f", "g h")}
    black = [np.zeros_like(image) for image in images]
    assert len(chosen) > 1
    assert policy._say(black, "a b", 0) != policy._say(images, "a b", 0)


def test_only_a_declared_temperature_draws_whatever_the_folder_says(policy, folder):
    request = random_request(policy.spec)
    images = [request.observation.images[key] for key in policy.spec.camera_keys]
    assert json.loads((folder / "generation_config.json").read_text())["do_sample"] is True
    assert len({str(policy._say(images, "a", seed)) for seed in range(5)}) == 1
    warm = load_policy(declare(folder, temperature=1.0))
    drawn = [str(warm._say(images, "a", seed)) for seed in range(5)]
    assert len(set(drawn)) == 5
    assert drawn == [str(warm._say(images, "a", seed)) for seed in range(5)]


@pytest.fixture
def tokens() -> ActionTokens:
    bins = BinnedActions(low=np.zeros(2), high=np.ones(2), bins=255)
    return ActionTokens(bins=bins, vocabulary=1000, horizon=2)


def test_a_chunk_survives_its_tokens_within_half_a_bin(tokens):
    chunk = np.array([[0.0, 1.0], [0.3, 0.7]])
    np.testing.assert_allclose(tokens.read(tokens.write(chunk)), chunk, atol=0.5 / 255 + 1e-12)


def test_the_last_id_is_the_upper_edge(tokens):
    np.testing.assert_array_equal(tokens.read([744] * 4), tokens.read([745] * 4))


@pytest.mark.parametrize(
    ("ids", "text"),
    [([999, 999, 999], "expected 2 rows of 2"), ([999, 999, 999, 743], "no actions")],
)
def test_tokens_that_are_no_chunk_are_a_fault(tokens, ids, text):
    with pytest.raises(BinError, match=text):
        tokens.read(ids)


def test_ranges_may_be_the_extremes_of_the_data_in_256_bins(folder):
    bins = load_policy(declare(folder, limits="min_max", bins=256))._tokens.bins
    np.testing.assert_array_equal(bins.low, [-0.9, 0.0, -1.0])
    assert bins.bins == 256


def in_degrees(policy: ActionTokenPolicy, element: int) -> PolicyRequest:
    """A request whose state has one element that is 57 times as large."""
    request = random_request(policy.spec)
    state = np.full(3, 0.4)
    state[element] *= 180.0 / np.pi
    return replace(request, observation=replace(request.observation, state=state))


def with_proprio(folder: Path, **proprio: list[float]) -> Path:
    statistics = {"mine": {"action": STATISTICS, "proprio": proprio}}
    (folder / "dataset_statistics.json").write_text(json.dumps(statistics))
    return folder


def test_the_first_state_that_actions_are_relative_to_must_be_in_the_datas_units(folder):
    with_proprio(folder, mean=[0.3, 0.3, 0.3], std=[0.2, 0.2, 0.2])
    policy = load_policy(declare(folder, relative=["b"]))
    with pytest.raises(ObservationMismatch, match=r"'b' is 113\.1 deviations"):
        policy.infer(in_degrees(policy, 1))
    assert np.isfinite(policy.infer(in_degrees(policy, 2))).all()
    assert np.isfinite(policy.infer(in_degrees(policy, 1))).all()  # it was the first that counted
    policy.reset()
    with pytest.raises(ObservationMismatch):
        policy.infer(in_degrees(policy, 1))


@pytest.mark.parametrize(
    "proprio", [{}, {"mean": [0.0] * 3, "std": [0.0] * 3}, {"mean": [0.0] * 8, "std": [1e-3] * 8}]
)
def test_a_state_is_not_compared_with_what_the_folder_does_not_know(proprio, folder):
    with_proprio(folder, **proprio)
    policy = load_policy(declare(folder, relative=["b"]))
    assert np.isfinite(policy.infer(in_degrees(policy, 1))).all()


def refusal(source: str) -> str:
    with pytest.raises(VlaError) as error:
        load_policy(source)
    return str(error.value)


def test_what_does_not_fit_is_refused_with_a_reason(folder):
    assert "{task}" in refusal(declare(folder, prompt="do it"))
    assert "['mine']" in refusal(declare(folder, statistics="yours"))
    weights = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in weights.items() if not k.endswith("linear_1.bias")}, folder / "x")
    declare(folder)
    spoiled = {
        k: torch.full_like(v, torch.nan) if k.endswith("linear_1.bias") else v
        for k, v in weights.items()
    }
    save_file(spoiled, folder / "model.safetensors", metadata={"format": "pt"})
    assert "linear_1.bias" in refusal(str(folder))
    shutil.move(folder / "x", folder / "model.safetensors")
    assert "missing_keys" in refusal(str(folder))


def test_a_folder_with_code_of_its_own_is_not_run(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "openvla", "auto_map": {"AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('it ran')")
    assert "cannot load" in refusal(str(folder))
