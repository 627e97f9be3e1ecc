"""ACT checkpoints: read strictly, and they keep the contract of every policy."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))

from contract import MovablePolicyContract
from lerobot_checkpoints import random_request, random_statistics, write_checkpoint

from vla_ros.errors import VlaError
from vla_ros.policy.load import load_policy
from vla_ros.policy.models.act import Act
from vla_ros.policy.models.act_layers import ActSizes
from vla_ros.policy.protocol import PolicyRequest

SIZES = {
    "dim_model": 16,
    "n_heads": 2,
    "dim_feedforward": 32,
    "n_encoder_layers": 1,
    "n_decoder_layers": 1,
    "n_vae_encoder_layers": 1,
    "chunk_size": 5,
    "use_vae": True,
    "latent_dim": 4,
    "pre_norm": False,
    "feedforward_activation": "relu",
    "dropout": 0.1,
    "vision_backbone": "resnet18",
}
CONFIG = {
    "type": "act",
    "n_obs_steps": 1,
    "n_action_steps": 5,
    "replace_final_stride_with_dilation": False,
    **SIZES,
}
MODES = {"VISUAL": "MEAN_STD", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    model = Act(ActSizes(state_dim=3, action_dim=3, backbone_width=2, **SIZES))
    write_checkpoint(tmp_path / "act", model, "model.", CONFIG, MODES)
    return tmp_path / "act"


class TestActKeepsThePolicyContract(MovablePolicyContract):
    @pytest.fixture
    def policy(self, folder):
        return load_policy(str(folder))

    @pytest.fixture
    def request_(self, policy) -> PolicyRequest:
        return random_request(policy.spec)


def test_the_robot_files_camera_names_stand_in_the_spec(folder: Path) -> None:
    spec = load_policy(str(folder)).spec
    assert spec.camera_keys == ("front", "wrist")
    assert spec.image_size == (32, 48)
    assert spec.contract.dt_ns == 50_000_000


def test_statistics_among_the_weights_give_the_same_chunk(folder: Path) -> None:
    policy = load_policy(str(folder))
    request = random_request(policy.spec)
    expected = policy.infer(request)
    weights = load_file(folder / "model.safetensors")
    for name, tensor in random_statistics().items():
        feature, _, statistic = name.rpartition(".")
        place = "unnormalize_outputs" if feature == "action" else "normalize_inputs"
        weights[f"{place}.buffer_{feature.replace('.', '_')}.{statistic}"] = tensor
    save_file(weights, folder / "model.safetensors")
    for path in folder.glob("policy_*"):
        path.unlink()
    np.testing.assert_array_equal(load_policy(str(folder)).infer(request), expected)


def test_the_checkpoints_decay_of_temporal_ensembling_travels_in_its_spec(folder: Path) -> None:
    assert load_policy(str(folder)).spec.ensemble_m == 0.01
    _change_config(folder, temporal_ensemble_coeff=-0.1)
    assert load_policy(str(folder)).spec.ensemble_m == -0.1


def test_degrees_in_place_of_radians_are_refused_at_the_first_state_of_a_run(folder: Path) -> None:
    policy = load_policy(str(folder))
    request = random_request(policy.spec)
    far = replace(
        request, observation=replace(request.observation, state=request.observation.state + 500.0)
    )
    with pytest.raises(VlaError, match="units"):
        policy.infer(far)
    policy.infer(request)
    policy.infer(far)  # within a run a robot may go where the data never were
    policy.reset()
    with pytest.raises(VlaError, match="units"):
        policy.infer(far)


def _change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"dim_model": 32}, "shape"),
        ({"n_encoder_layers": 2}, "missing"),
        ({"use_vae": False}, "unknown"),
        ({"vision_backbone": "resnet50"}, "resnet50"),
        ({"chunk_size": None}, "chunk_size"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    folder: Path, changes: dict[str, object], word: str
) -> None:
    _change_config(folder, **changes)
    with pytest.raises(VlaError, match=word):
        load_policy(str(folder))


def test_a_nan_in_the_weights_is_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.action_head.bias"][0] = torch.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(VlaError, match="NaN"):
        load_policy(str(folder))


@pytest.mark.parametrize("name", ["action.std", "observation.images.top.mean"])
def test_a_missing_statistic_is_refused(folder: Path, name: str) -> None:
    for path in folder.glob("policy_*.safetensors"):
        statistics = load_file(path)
        del statistics[name]
        save_file(statistics, path)
    with pytest.raises(VlaError, match=name):
        load_policy(str(folder))


def test_statistics_of_no_data_are_refused(folder: Path) -> None:
    for path in folder.glob("policy_*.safetensors"):
        statistics = load_file(path)
        statistics["action.mean"].zero_()
        statistics["action.std"].fill_(1.0)
        save_file(statistics, path)
    with pytest.raises(VlaError, match="deviation 1 everywhere"):
        load_policy(str(folder))


def test_halves_of_two_checkpoints_are_refused(folder: Path) -> None:
    (path,) = folder.glob("policy_post*.safetensors")
    statistics = load_file(path)
    statistics["action.mean"] += 1.0
    save_file(statistics, path)
    with pytest.raises(VlaError, match="two checkpoints"):
        load_policy(str(folder))


def test_an_unknown_processing_step_is_refused(folder: Path) -> None:
    path = folder / "policy_preprocessor.json"
    steps = json.loads(path.read_text())
    steps["steps"].append({"registry_name": "relative_actions_processor"})
    path.write_text(json.dumps(steps))
    with pytest.raises(VlaError, match="relative_actions"):
        load_policy(str(folder))
