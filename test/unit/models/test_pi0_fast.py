"""pi0-FAST against transformers' own PaliGemma, and what is no chunk."""

from __future__ import annotations

import json
import shutil
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot_checkpoints import random_request

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))

from contract import MovablePolicyContract
from paligemma_checkpoints import (
    ACTIONS,
    HORIZON,
    WORDS,
    smooth_chunks,
    taught_by_heart,
    tiny_fast,
    tiny_paligemma,
    two_requests,
    write_pi0_fast,
)

from vla_ros.errors import VlaError
from vla_ros.policy.families.pi0_fast import ActionSpeech, Pi0FastPolicy
from vla_ros.policy.load import load_policy
from vla_ros.policy.models.fast import FastError
from vla_ros.policy.models.pi0_fast import DecodingError
from vla_ros.policy.models.prefix_expert import PrefixInputs

pytestmark = pytest.mark.slow  # transformers alone takes seconds to import

IMAGE_TOKENS = 4


@pytest.fixture(scope="module")
def author():
    return tiny_paligemma()


@pytest.fixture(scope="module")
def folder(author, tmp_path_factory) -> Path:
    return write_pi0_fast(tmp_path_factory.mktemp("pi0_fast") / "checkpoint", author)


@pytest.fixture
def policy(folder) -> Pi0FastPolicy:
    policy = load_policy(str(folder))
    assert isinstance(policy, Pi0FastPolicy)
    return policy


@pytest.fixture(scope="module")
def inputs() -> PrefixInputs:
    generator = torch.Generator().manual_seed(8)
    images = torch.rand((1, 2, 3, 28, 28), generator=generator) * 2.0 - 1.0
    words = torch.tensor([[2, 40, 41, 60, 99, 2]])
    return PrefixInputs(images, words, torch.zeros(1, 8))


def asked_of_transformers(inputs: PrefixInputs) -> dict[str, torch.Tensor]:
    """The same prefix in transformers' form: each camera's tokens have places among the words."""
    places = torch.full((1, 2 * IMAGE_TOKENS), WORDS - 1)
    ids = torch.cat([places, inputs.words], dim=1)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.zeros_like(ids),
        "pixel_values": inputs.images[0],
    }


def said_by(author, inputs: PrefixInputs, count: int) -> list[int]:
    asked = asked_of_transformers(inputs)
    out = author.generate(**asked, max_new_tokens=count, min_new_tokens=count, do_sample=False)
    return out[0, asked["input_ids"].shape[1] :].tolist()


def test_scores_behind_the_prefix_are_transformers(policy, author, inputs):
    with torch.no_grad():
        theirs = author(**asked_of_transformers(inputs)).logits[0, -1]
        read, _ = policy._model.read(policy._model.embed_prefix(inputs))
        ours = policy._model.scores(read[0, -1])
    assert float(theirs.abs().max()) > 1.0
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_smaller_weights_score_the_words_nearly_as_float32(dtype, policy, folder, inputs, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    about = json.loads((copy / "vla.yaml").read_text())
    about["options"]["dtype"] = dtype
    (copy / "vla.yaml").write_text(json.dumps(about))
    scores = []
    with torch.no_grad():
        for model in (policy._model, load_policy(str(copy))._model):
            read, _ = model.read(model.embed_prefix(inputs))
            scores.append(model.scores(read[0, -1]))
    exact, near = scores
    assert 0.0 < float((near - exact).norm() / exact.norm()) < 0.05


def test_words_said_one_after_the_other_are_transformers(policy, author, inputs):
    theirs = said_by(author, inputs, 30)
    last = max(theirs, key=theirs.index)  # the word that came up last
    assert theirs.index(last) > 8
    ours = policy._model.decode(inputs, stop=frozenset({last}), longest=30)
    assert ours == theirs[: theirs.index(last)]


def test_the_cache_gives_what_reading_everything_again_gives(policy, inputs):
    model = policy._model
    prefix = model.embed_prefix(inputs)
    words = torch.tensor([[5, 300, 17]])
    with torch.no_grad():
        _, past = model.read(prefix)
        for k in range(3):
            last, past = model.read(model.embed_words(words[:, k : k + 1]), past)
        count, total = prefix.shape[1], prefix.shape[1] + 3
        mask = torch.ones((total, total), dtype=torch.bool).tril()
        mask[:count, :count] = True
        whole, _ = model.read(torch.cat([prefix, model.embed_words(words)], 1), mask=mask)
    torch.testing.assert_close(last[:, -1], whole[:, -1], atol=1e-4, rtol=0.0)


def test_the_loss_is_transformers(policy, author, inputs):
    answer = torch.tensor([[2, 300, 301, 17, 94]])
    asked = asked_of_transformers(inputs)
    both = torch.cat([asked["input_ids"], answer], dim=1)
    kinds = torch.cat([asked["token_type_ids"], torch.ones_like(answer)], dim=1)
    labels = both.clone()
    labels[:, : -(answer.shape[1] - 1)] = -100
    with torch.no_grad():
        theirs = author(
            input_ids=both,
            attention_mask=torch.ones_like(both),
            token_type_ids=kinds,
            pixel_values=asked["pixel_values"],
            labels=labels,
        ).loss
        ours = policy._model.loss(inputs, answer)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0.0)


@pytest.fixture(scope="module")
def taught(folder) -> tuple[Pi0FastPolicy, np.ndarray]:
    return taught_by_heart(folder)


class TestPi0FastKeepsThePolicyContract(MovablePolicyContract):
    @pytest.fixture
    def policy(self, taught):
        return deepcopy(taught[0])

    @pytest.fixture
    def request_(self, policy):
        return two_requests(policy)[0]

    def test_everything_is_computed_on_the_device_it_is_moved_to(
        self, policy, request_, monkeypatch
    ):
        """As in the contract, but each word comes back; zeros never end, so it is no chunk."""
        policy.to(torch.device("meta"))
        came_back = []

        def back(tensor):
            came_back.append(tensor.device.type)
            return torch.zeros(tensor.shape)

        monkeypatch.setattr(torch.Tensor, "cpu", back)
        with pytest.raises(DecodingError, match="did not end"):
            policy.infer(request_)
        assert came_back == ["meta"] * policy._longest


def test_the_prompt_is_what_lerobot_writes(policy):
    """The text is that of LeRobot 0.4.4's step for the same state and task."""
    state = np.array([-1.2, -1.0, 0.0, 0.3337, 0.999, 1.0, 1.4], np.float32)
    text = policy._processors.prompt.apply(" Pick_up the\ncube ", state)
    assert text == "Task: Pick up the cube, State: -1 0 128 170 255 255 255 128;\n"


def test_what_was_learned_by_heart_comes_back(taught):
    policy, chunks = taught
    for request, chunk in zip(two_requests(policy), chunks, strict=True):
        np.testing.assert_allclose(policy.infer(request), chunk, atol=0.2)
    assert np.abs(chunks[0] - chunks[1]).max() > 0.3


def test_a_temperature_draws_by_the_seed(policy):
    inputs = policy.inputs(
        [np.zeros((24, 32, 3), np.uint8)] * 2, np.zeros(ACTIONS, np.float32), "pick it up"
    )

    def said(seed: int, temperature: float) -> list[int]:
        return policy._model.decode(
            inputs,
            stop=frozenset(range(0, WORDS, 5)),
            longest=60,
            temperature=temperature,
            generator=torch.Generator().manual_seed(seed),
        )

    drawn = [said(seed, 2.0) for seed in range(6)]
    assert drawn == [said(seed, 2.0) for seed in range(6)]
    assert len({str(words) for words in drawn}) > 3
    assert said(0, 1e-4) == said(1, 1e-4) == said(0, 0.0)


def test_an_untrained_model_is_a_fault_and_not_a_pose(policy):
    with pytest.raises(DecodingError, match="nothing is sent"):
        policy.infer(random_request(policy.spec))


@pytest.fixture
def speech() -> ActionSpeech:
    return ActionSpeech(
        fast=tiny_fast(),
        horizon=HORIZON,
        action_dim=ACTIONS,
        begin=2,
        opening=(7, 8),
        ends=(94, 1),
        words=WORDS,
        skipped=128,
    )


def test_a_chunk_survives_being_said(speech):
    chunk = smooth_chunks(1)[0]
    said = speech.write(chunk)
    assert said[-1] == 94
    np.testing.assert_allclose(speech.read(said[:-1]), chunk, atol=0.15)


def test_words_that_are_no_chunk_are_refused(speech):
    said = speech.write(smooth_chunks(1)[0])[:-1]
    with pytest.raises(DecodingError, match="began with"):
        speech.read(said[1:])
    with pytest.raises(FastError, match="cut off"):
        speech.read(said[:-1])
    with pytest.raises(FastError, match="are none"):
        speech.read([*said, 7])


def changed(folder: Path, tmp_path: Path, **values: object) -> Path:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **values}))
    return copy


@pytest.mark.parametrize(
    "option", [{"dual": {"period_s": 1.0}}, {"advantage": {"weight": 2.0}}, {"num_steps": 4}]
)
def test_options_of_flow_models_are_refused(folder, tmp_path, option):
    copy = changed(folder, tmp_path)
    declared = json.loads((copy / "vla.yaml").read_text())
    declared["options"] |= option
    (copy / "vla.yaml").write_text(json.dumps(declared))
    with pytest.raises(VlaError, match=f"options: {next(iter(option))}"):
        load_policy(str(copy))


def test_an_action_tokenizer_for_other_chunks_is_refused(folder, tmp_path):
    with pytest.raises(VlaError, match="bring the one it was trained with"):
        load_policy(str(changed(folder, tmp_path, chunk_size=5)))


def test_without_the_action_tokenizer_it_says_which_files_to_bring(folder, tmp_path):
    copy = changed(folder, tmp_path)
    shutil.rmtree(copy / "fast")
    with pytest.raises(VlaError, match=r"processor_config\.json and tokenizer\.json"):
        load_policy(str(copy))
