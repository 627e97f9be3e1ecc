"""Checkpoint folders are read strictly, and the policy answers from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_demos import write_tiny_checkpoint

from vla_ros.policy.checkpoints.nano import load_nano
from vla_ros.policy.checkpoints.nano_config import CheckpointError
from vla_ros.policy.families.nano import NanoPolicy
from vla_ros.policy.first_look import ObservationMismatch
from vla_ros.policy.protocol import PolicyRequest
from vla_ros.spaces.observation import Observation

PRE = "policy_preprocessor_step_3_normalizer_processor.safetensors"
POST = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_checkpoint(tmp_path / "nano", tmp_path / "data")
    return tmp_path / "nano"


def observation(**changes: object) -> Observation:
    rng = np.random.default_rng(3)
    values: dict[str, object] = {
        "seq": 0,
        "t_obs_ns": 0,
        "start_ns": 0,
        "images": {k: rng.integers(0, 255, (32, 64, 3), np.uint8) for k in ("wrist", "front")},
        "image_stamps_ns": {"front": 0, "wrist": 0},
        "state": rng.normal(size=7),
        "state_stamp_ns": 0,
        "streams": (),
    }
    return Observation(**{**values, **changes})  # type: ignore[arg-type]


def test_weights_and_statistics_survive_the_folder(tmp_path: Path) -> None:
    model = write_tiny_checkpoint(tmp_path / "nano", tmp_path / "data")
    loaded = load_nano(tmp_path / "nano")
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.weights[name], tensor), name
    assert loaded.config.spec_hash == 2**63 + 5
    assert (loaded.statistics.action.std[:, 6] == 1.0).all()


def test_the_folder_has_the_lerobot_layout(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["type"] == "nano"
    assert config["input_features"]["observation.images.front"]["shape"] == [3, 32, 64]
    for name in ("preprocessor", "postprocessor"):
        steps = json.loads((folder / f"policy_{name}.json").read_text())["steps"]
        for index, step in enumerate(steps):
            if "state_file" in step:
                assert f"step_{index}_" in step["state_file"]
                assert (folder / step["state_file"]).exists()


def _edit(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def _set_nan(tensors: dict[str, torch.Tensor]) -> None:
    tensors["readout"][0, 0] = float("nan")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _key(folder: Path, key: str, value: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config[key] = value
    (folder / "config.json").write_text(json.dumps(config))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing tensor": (
        lambda f: _edit(f / "model.safetensors", lambda t: t.pop("readout")),
        r"missing \['readout'\]",
    ),
    "unknown tensor": (
        lambda f: _edit(f / "model.safetensors", lambda t: t.update(x=torch.zeros(1))),
        r"unknown \['x'\]",
    ),
    "wrong shape": (
        lambda f: _edit(f / "model.safetensors", lambda t: t.update(readout=torch.zeros(2, 3))),
        r"'readout' expected shape \(1, 32\), got \(2, 3\)",
    ),
    "not a number": (lambda f: _edit(f / "model.safetensors", _set_nan), "readout.*NaN"),
    "truncated": (lambda f: _cut(f / "model.safetensors"), "damaged or truncated"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "is missing"),
    "no statistics": (lambda f: (f / PRE).unlink(), "is missing"),
    "missing statistic": (
        lambda f: _edit(f / PRE, lambda t: t.pop("action.std")),
        "'action.std' expected shape",
    ),
    "mixed statistics": (
        lambda f: _edit(f / POST, lambda t: t["action.mean"].add_(1.0)),
        "mixes two checkpoints",
    ),
    "unknown key": (lambda f: _key(f, "horizonn", 3), r"unknown \['horizonn'\]"),
    "other type": (lambda f: _key(f, "type", "pi0"), "expected type 'nano'"),
    "contradiction": (lambda f: _key(f, "camera_keys", ["front"]), "cameras: sizes say 2"),
    "no config": (lambda f: (f / "config.json").unlink(), "No checkpoint"),
    "no json": (lambda f: _cut(f / "config.json"), "not JSON"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_with_its_reason(folder: Path, damage: str) -> None:
    spoil, words = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(CheckpointError, match=words):
        load_nano(folder)


def test_equal_seeds_give_bit_equal_chunks(folder: Path) -> None:
    policy = NanoPolicy(folder)
    policy.warm_up()
    request = PolicyRequest(observation=observation(), prompt="put the red cube in it", seed=4)
    first, second = policy.infer(request), policy.infer(request)
    assert first.shape == (4, 7)
    assert first.dtype == np.float64
    assert np.array_equal(first, second)
    other = PolicyRequest(observation=observation(), prompt="put the red cube in it", seed=5)
    assert not np.array_equal(first, policy.infer(other))
    assert set(np.unique(first[:, 6])) <= {0.0, 1.0}


def test_every_input_reaches_the_chunk(folder: Path) -> None:
    policy = NanoPolicy(folder)
    base = observation()
    prompt = "put the red cube in the blue bin"
    chunk = policy.infer(PolicyRequest(observation=base, prompt=prompt, seed=1))
    for key in ("front", "wrist"):
        images = {**base.images, key: np.zeros((32, 64, 3), np.uint8)}
        changed = PolicyRequest(observation=observation(images=images), prompt=prompt, seed=1)
        assert not np.array_equal(chunk, policy.infer(changed)), key
    words = PolicyRequest(observation=base, prompt="put the green cube in the blue bin", seed=1)
    assert not np.array_equal(chunk, policy.infer(words))
    # The chunk is relative to the measured joints.
    state = base.state + np.array([0.0, 0.0, 0.7, 0.0, 0.0, 0.0, 0.0])
    moved = policy.infer(PolicyRequest(observation=observation(state=state), prompt=prompt, seed=1))
    assert np.abs(moved[:, 2] - chunk[:, 2] - 0.7).max() < 0.2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": {"front": np.zeros((32, 64, 3), np.uint8)}}, "'wrist'.*got nothing"),
        (
            {"images": {k: np.zeros((64, 32, 3), np.uint8) for k in ("front", "wrist")}},
            r"'front'.*\(32, 64, 3\), got uint8 of shape \(64, 32, 3\)",
        ),
        ({"state": np.zeros(6)}, "state: expected 7"),
        ({"state": np.full(7, np.nan)}, "state: expected 7 finite"),
    ],
)
def test_an_observation_that_does_not_fit_is_refused(
    folder: Path, changes: dict[str, object], words: str
) -> None:
    policy = NanoPolicy(folder)
    request = PolicyRequest(observation=observation(**changes), prompt="put the red cube")
    with pytest.raises(ObservationMismatch, match=words):
        policy.infer(request)
