"""GR00T as a policy: LeRobot's layout around the head that is compared with LeRobot's own."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))

from contract import MovablePolicyContract
from lerobot_checkpoints import CAMERAS, DECLARATION, JOINTS, SIZE, random_request
from test_groot_head import GOLDEN, SIZES

from vla_ros.errors import VlaError
from vla_ros.policy.dual_policy import DualPolicy
from vla_ros.policy.families import groot
from vla_ros.policy.load import load_policy

LOW, HIGH = torch.tensor([-3.0, -2.0, -1.0]), torch.tensor([3.0, 1.0, 2.0])
PACKED = "policy_preprocessor_step_2_groot_pack_inputs_v3.safetensors"


class Eyes:
    """A backbone whose features depend on every pixel and word."""

    def __init__(self, folder: Path) -> None:
        self.looks = 0
        self.width = SIZES.backbone_dim

    def features(self, images, prompt):
        self.looks += 1
        seed = int(sum(int(image.sum()) for image in images)) + sum(map(ord, prompt))
        return torch.randn(9, self.width, generator=torch.Generator().manual_seed(seed))


def offers(group: str) -> list[SimpleNamespace]:
    """Entry points, as if a package offered these eyes."""
    return [SimpleNamespace(name="eyes", load=lambda: Eyes)]


@pytest.fixture(autouse=True)
def offered(monkeypatch):
    monkeypatch.setattr(groot, "entry_points", offers)


def write_groot(folder: Path) -> Path:
    """A folder as LeRobot's `save_pretrained` leaves it, and the declaration beside it."""
    folder.mkdir()
    image, vector = {"shape": [3, *SIZE]}, {"shape": [len(JOINTS)]}
    config = {
        "type": "groot",
        "chunk_size": 50,
        "input_features": {
            **{f"observation.images.{key}": image for key in reversed(CAMERAS)},
            "observation.state": vector,
        },
        "output_features": {"action": vector},
    }
    (folder / "config.json").write_text(json.dumps(config))
    weights = {f"_groot_model.{k}": v for k, v in load_file(GOLDEN / "model.safetensors").items()}
    weights["_groot_model.backbone.eagle_model.anything"] = torch.zeros(2)
    save_file(weights, folder / "model.safetensors")
    pack = {
        "registry_name": "groot_pack_inputs_v3",
        "config": {
            "embodiment_tag": "mine",
            "embodiment_mapping": {"mine": 2, "other": 1},
            "normalize_min_max": True,
        },
        "state_file": PACKED,
    }
    steps = ["rename_observations_processor", "to_batch_processor", pack]
    steps += ["groot_eagle_encode_v3", "groot_eagle_collate_v3", "device_processor"]
    named = [{"registry_name": s, "config": {}} if isinstance(s, str) else s for s in steps]
    (folder / "policy_preprocessor.json").write_text(json.dumps({"steps": named}))
    ends = {"min": LOW, "max": HIGH}
    statistics = {
        f"{feature}.{name}": values.clone()
        for feature in ("observation.state", "action")
        for name, values in ends.items()
    }
    save_file(statistics, folder / PACKED)
    declare(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_groot(tmp_path / "groot")


def declare(folder: Path, **options: object) -> str:
    sizes = {
        field.name: getattr(SIZES, field.name)
        for field in dataclasses.fields(SIZES)
        if getattr(SIZES, field.name) != field.default
    }
    options = {"backbone": "eyes", "sizes": sizes, **options}
    (folder / "vla.yaml").write_text(f"{DECLARATION}options: {json.dumps(options)}\n")
    return str(folder)


class TestGrootKeepsThePolicyContract(MovablePolicyContract):
    @pytest.fixture
    def policy(self, folder):
        return load_policy(str(folder))

    @pytest.fixture
    def request_(self, policy):
        return random_request(policy.spec)


def test_the_chunk_is_the_heads_in_lerobots_normalisation(folder):
    policy = load_policy(str(folder))
    assert policy.spec.camera_keys == ("front", "wrist")
    assert policy.spec.horizon == SIZES.horizon
    request = random_request(policy.spec)
    images = [request.observation.images[key] for key in policy.spec.camera_keys]
    features = Eyes(folder).features(images, request.prompt)[None]
    state = torch.zeros(1, 1, SIZES.state_dim)
    raw = torch.from_numpy(request.observation.state).float()
    state[0, 0, :3] = 2 * (raw - LOW) / (HIGH - LOW) - 1
    noise = torch.randn(
        (1, SIZES.horizon, SIZES.action_dim),
        generator=torch.Generator().manual_seed(request.seed),
    )
    with torch.no_grad():
        prefix = policy._model.encode(features, state, torch.tensor([2]))
        chunk = policy._model.sample(prefix, noise)[0, :, :3]
    expected = (chunk + 1.0) * 0.5 * (HIGH - LOW) + LOW
    np.testing.assert_allclose(policy.infer(request), expected.numpy(), atol=1e-5)


def test_the_backbone_may_look_more_rarely_than_the_head_acts(folder):
    policy = load_policy(declare(folder, dual={"period_s": 0.5, "background": False}))
    assert isinstance(policy, DualPolicy)
    eyes = policy._policy._backbone
    request = random_request(policy.spec)
    policy.warm_up()
    before = eyes.looks
    for t_ms in range(0, 1000, 100):
        observation = dataclasses.replace(request.observation, t_obs_ns=t_ms * 1_000_000)
        policy.infer(dataclasses.replace(request, observation=observation))
    assert eyes.looks - before == 2


def refusal(source: str) -> str:
    with pytest.raises(VlaError) as error:
        load_policy(source)
    return str(error.value)


def test_what_does_not_fit_is_refused_with_a_reason(folder, monkeypatch):
    assert "vla serve --lerobot" in refusal(declare(folder, backbone=None))
    assert "no installed package offers 'other'" in refusal(declare(folder, backbone="other"))
    steps = json.loads((folder / "policy_preprocessor.json").read_text())["steps"]
    steps[2]["config"]["embodiment_tag"] = "robot of a neighbour"
    (folder / "policy_preprocessor.json").write_text(json.dumps({"steps": steps}))
    assert "robot of a neighbour" in refusal(declare(folder))
    (folder / "policy_preprocessor.json").write_text(json.dumps({"steps": steps[:2]}))
    assert "groot_pack_inputs_v3" in refusal(declare(folder))


def test_features_of_another_backbone_are_refused(folder):
    policy = load_policy(str(folder))
    policy._backbone.width = 12
    with pytest.raises(VlaError, match=r"\(9, 12\), expected \(N, 40\)"):
        policy.infer(random_request(policy.spec))
