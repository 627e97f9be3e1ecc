"""pi*0.6: a prompt that names an advantage, and classifier-free guidance towards it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from contract import BatchPolicyContract, MovablePolicyContract
from test_vla_checkpoints import GOLDEN, edit_json, request_for

from vla_ros.errors import VlaError
from vla_ros.policy.flow_policy import FlowPolicy
from vla_ros.policy.load import load_policy
from vla_ros.policy.models.flow import euler_sample
from vla_ros.policy.processors.prompt import LinePrompt, StatePrompt
from vla_ros.policy.protocol import Guidance

STEPS = 3


@pytest.fixture(params=["pi0", "pi05"])
def folder(request, tmp_path) -> Path:
    folder = Path(shutil.copytree(GOLDEN / request.param / "checkpoint", tmp_path / "copy"))
    edit_json(folder / "config.json", tokenizer_max_length=90, num_inference_steps=STEPS)
    return folder


def told(folder: Path, **advantage: object) -> FlowPolicy:
    path = folder / "vla.yaml"
    declared = yaml.safe_load(path.read_text())
    declared["options"]["advantage"] = advantage
    path.write_text(yaml.safe_dump(declared))
    policy = load_policy(str(folder))
    assert isinstance(policy, FlowPolicy)
    return policy


def velocities(policy: FlowPolicy, request, saying: str):
    """The field under a prompt that says something, by itself."""
    processors = replace(
        policy._processors, prompt=policy._processors.prompt.with_advantage(saying), contrast=None
    )
    images = [request.observation.images[key] for key in policy.spec.camera_keys]
    normal = processors.state.apply(request.observation.state).astype(np.float32)
    with torch.no_grad():
        prefix = policy._model.encode(processors.inputs(images, normal, request.prompt))
    return lambda x, time: policy._model.flow(prefix, x, policy._schedule[time])


def test_the_advantage_stands_between_the_instruction_and_the_actions():
    state = np.zeros(2, np.float32)
    line = LinePrompt().with_advantage("Advantage: positive")
    assert line.apply("fold it", state) == "fold it\nAdvantage: positive\n"
    numbers = StatePrompt().with_advantage("Advantage: negative")
    assert numbers.apply("fold it", state) == (
        "Task: fold it, State: 128 128;\nAdvantage: negative\nAction: "
    )
    assert line.with_advantage("") == LinePrompt()


def test_a_weight_of_one_is_the_conditional_chunk_bit_for_bit(folder):
    plain = load_policy(str(folder))
    policy = told(folder)
    request = request_for(policy.spec)
    conditional = velocities(policy, request, "Advantage: positive")
    with torch.no_grad():
        chunk = euler_sample(conditional, policy._noise(request.seed), num_steps=STEPS)
    expected = policy._processors.to_robot(chunk[0].numpy(), request.observation.state)
    np.testing.assert_array_equal(policy.infer(request), expected)
    assert np.abs(policy.infer(request) - plain.infer(request)).max() > 1e-4


@pytest.mark.parametrize("weight", [0.5, 2.5])
def test_another_weight_goes_along_the_difference_of_the_two_fields(folder, weight):
    policy = told(folder, weight=weight)
    request = request_for(policy.spec)
    with_it = velocities(policy, request, "Advantage: positive")
    without = velocities(policy, request, "")

    def field(x, time):
        bare = without(x, time)
        return bare + weight * (with_it(x, time) - bare)

    with torch.no_grad():
        chunk = euler_sample(field, policy._noise(request.seed), num_steps=STEPS)
    expected = policy._processors.to_robot(chunk[0].numpy(), request.observation.state)
    np.testing.assert_allclose(policy.infer(request), expected, atol=2e-4)
    once = told(folder).infer(request)
    assert np.abs(policy.infer(request) - once).max() > 1e-3


def test_both_fields_come_from_one_pass_a_step(folder, monkeypatch):
    policy = told(folder, weight=2.0)
    flow, batches = policy._model.flow, []

    def count(prefix, noisy, terms):
        batches.append(len(noisy))
        return flow(prefix, noisy, terms)

    monkeypatch.setattr(policy._model, "flow", count)
    policy.infer(request_for(policy.spec))
    assert batches == [2] * STEPS


def test_it_goes_together_with_real_time_chunking(folder):
    policy = told(folder, weight=2.0)
    request = request_for(policy.spec)
    plan = policy.infer(request_for(policy.spec, seed=9))
    weights = np.where(np.arange(policy.spec.horizon) < 4, 1.0, 0.0)
    free = policy.infer(request)
    guided = policy.infer(replace(request, guidance=Guidance(actions=plan, weights=weights)))
    assert np.abs(guided - plan)[:4].mean() < 0.5 * np.abs(free - plan)[:4].mean()


class TestWithAnAdvantageItKeepsThePolicyContract(MovablePolicyContract, BatchPolicyContract):
    @pytest.fixture
    def policy(self, folder):
        return told(folder, weight=2.0)

    @pytest.fixture
    def request_(self, policy):
        return request_for(policy.spec)


@pytest.mark.parametrize("advantage", [{"weight": 0.0}, {"say": "two\nlines"}, {"wait": 1.0}])
def test_an_advantage_that_means_nothing_is_refused(folder, advantage):
    with pytest.raises(VlaError, match="options: advantage"):
        told(folder, **advantage)
