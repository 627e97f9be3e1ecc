"""Checkpoints of pi0, pi0.5 and SmolVLA: three layouts, one policy, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from contract import BatchPolicyContract, MovablePolicyContract
from foreign_layouts import in_openpis_layout, normaliser_of, statistics_inside
from safetensors.torch import load_file, save_file

from vla_ros.errors import VlaError
from vla_ros.policy.first_look import ObservationMismatch
from vla_ros.policy.load import load_policy
from vla_ros.policy.models import linear
from vla_ros.policy.protocol import Guidance, PolicyRequest, PolicySpec
from vla_ros.spaces import Observation

GOLDEN = Path(__file__).parents[2] / "golden"


def request_for(spec: PolicySpec, seed: int = 4, **more: object) -> PolicyRequest:
    rng = np.random.default_rng(seed)
    images = {
        key: rng.integers(0, 255, (*spec.image_size, 3), np.uint8) for key in spec.camera_keys
    }
    observation = Observation(
        seq=0,
        t_obs_ns=0,
        start_ns=0,
        images=images,
        image_stamps_ns=dict.fromkeys(images, 0),
        state=rng.uniform(-0.5, 0.5, size=len(spec.state_names)),
        state_stamp_ns=0,
        streams=(),
    )
    return PolicyRequest(observation=observation, prompt="open the drawer", seed=seed, **more)


@pytest.fixture
def folder(tmp_path):
    """A copy of the tiny pi0 checkpoint to spoil."""
    return Path(shutil.copytree(GOLDEN / "pi0" / "checkpoint", tmp_path / "pi0"))


def edit_yaml(folder: Path, **values: object) -> None:
    path = folder / "vla.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def edit_weights(folder: Path, change, file: str = "model.safetensors") -> None:
    weights = load_file(folder / file)
    change(weights)
    save_file(weights, folder / file)


def refusal(folder: Path) -> str:
    with pytest.raises(VlaError) as error:
        load_policy(str(folder))
    return str(error.value)


@pytest.mark.parametrize("name", ["pi0", "pi05", "smolvla"])
class TestEveryFamilyKeepsThePolicyContract(MovablePolicyContract, BatchPolicyContract):
    @pytest.fixture
    def policy(self, name):
        return load_policy(str(GOLDEN / name / "checkpoint"))

    @pytest.fixture
    def request_(self, policy):
        return request_for(policy.spec)

    def test_a_guided_chunk_keeps_to_the_plan_where_it_counts(self, policy, request_):
        plan = policy.infer(request_for(policy.spec, seed=9))
        weights = np.where(np.arange(policy.spec.horizon) < 4, 1.0, 0.0)
        free = policy.infer(request_)
        guidance = Guidance(actions=plan, weights=weights)
        guided = policy.infer(replace(request_, guidance=guidance))
        assert np.abs(guided - plan)[:4].mean() < 0.5 * np.abs(free - plan)[:4].mean()

    def test_a_black_frame_changes_the_chunk(self, policy, request_):
        images = {k: np.zeros_like(v) for k, v in request_.observation.images.items()}
        dark = replace(request_, observation=replace(request_.observation, images=images))
        assert np.abs(policy.infer(dark) - policy.infer(request_)).max() > 1e-3

    def test_degrees_in_place_of_radians_are_refused_at_the_first_observation(
        self, policy, request_
    ):
        far = replace(request_.observation, state=request_.observation.state + 500.0)
        with pytest.raises(ObservationMismatch, match="units"):
            policy.infer(replace(request_, observation=far))

    def test_the_time_contract_is_that_of_a_recording_loop(self, policy):
        contract = policy.spec.contract
        assert (contract.state_at, contract.dt_ns) == ("decision", 50_000_000)


def test_openpi_s_layout_gives_the_same_chunk(folder, tmp_path):
    ours = load_policy(str(folder))
    statistics = ("mean", "std")
    target = in_openpis_layout(folder, tmp_path / "openpi", ours.spec.camera_keys, statistics)
    theirs = load_policy(str(target))
    request = request_for(ours.spec)
    np.testing.assert_allclose(theirs.infer(request), ours.infer(request), atol=1e-3)


def test_a_layout_from_before_lerobot_0_4_gives_the_same_chunk(folder, tmp_path):
    ours = load_policy(str(folder))
    statistics = load_file(normaliser_of(folder))

    def rename(weights):
        old = {}
        for name, tensor in weights.items():
            name = name.replace(".paligemma.lm_head", ".paligemma.language_model.lm_head")
            name = name.replace(".model.language_model.", ".language_model.model.")
            name = name.replace(".paligemma.model.", ".paligemma.")
            old[name] = tensor
        weights.clear()
        weights.update(old)

    edit_weights(folder, rename)
    needed = {k: v for k, v in statistics.items() if k.endswith((".mean", ".std"))}
    statistics_inside(folder, needed)
    request = request_for(ours.spec)
    np.testing.assert_array_equal(load_policy(str(folder)).infer(request), ours.infer(request))


def test_a_declaration_elsewhere_names_the_folder(folder, tmp_path):
    declared = yaml.safe_load((folder / "vla.yaml").read_text())
    (folder / "vla.yaml").unlink()
    declared |= {"checkpoint": "pi0", "cameras": {"front": "base_0_rgb"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(declared))
    policy = load_policy(str(tmp_path / "mine.yaml"))
    assert policy.spec.camera_keys == ("front",)
    assert np.isfinite(policy.infer(request_for(policy.spec))).all()


def test_without_a_declaration_it_says_which_names_are_missing(folder):
    (folder / "vla.yaml").unlink()
    text = refusal(folder)
    assert "state_names" in text
    assert "7 different names" in text
    assert "vla.yaml" in text


def test_without_a_tokenizer_it_says_which_file_to_bring(folder):
    shutil.rmtree(folder / "tokenizer")
    text = refusal(folder)
    assert "google/paligemma-3b-pt-224" in text
    assert "tokenizer.json" in text


def drop(weights):
    del weights["model.action_in_proj.bias"]


def add(weights):
    weights["model.surprise"] = torch.zeros(2)


def reshape(weights):
    weights["model.state_proj.weight"] = torch.zeros(48, 16)


def widen(weights):
    name = "model.paligemma_with_expert.paligemma.model.language_model.layers.1.self_attn.k_proj"
    weights[f"{name}.weight"] = torch.zeros(32, 64)


def spoil(weights):
    weights["model.action_out_proj.weight"][3, 3] = float("nan")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop, ["missing", "action_in_proj.bias", "1 and 0"]),
        (add, ["unknown", "model.surprise"]),
        (reshape, ["model.state_proj.weight", "(48, 16)", "(48, 32)"]),
        (widen, ["k_proj.weight", "(32, 64)", "(160, 64)"]),
        (spoil, ["model.action_out_proj.weight", "NaN"]),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, words):
    edit_weights(folder, change)
    text = refusal(folder)
    assert all(word in text for word in words), text


def test_a_truncated_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "truncated" in refusal(folder)


def no_std(stats):
    del stats["observation.state.std"]


def inert(stats):
    stats["observation.state.mean"][:], stats["observation.state.std"][:] = 0.0, 1.0


def constant(stats):
    stats["observation.state.std"][2] = 0.0


def mixed(stats):
    stats["action.mean"] += 1.0


@pytest.mark.parametrize(
    ("change", "word"),
    [(no_std, "'std' of the state"), (inert, "base"), (constant, "never"), (mixed, "mixes")],
)
def test_statistics_of_no_data_are_refused(folder, change, word):
    edit_weights(folder, change, normaliser_of(folder).name)
    assert word in refusal(folder)


def test_an_unknown_processing_step_is_refused(folder):
    path = folder / "policy_preprocessor.json"
    steps = json.loads(path.read_text())["steps"]
    edit_json(path, steps=[*steps, {"registry_name": "relative_actions_processor"}])
    assert "relative_actions_processor" in refusal(folder)


def test_an_unknown_option_is_refused(folder):
    edit_yaml(folder, options={"resise": "pil"})
    assert "resise" in refusal(folder)


def test_a_camera_that_the_checkpoint_does_not_know_is_refused(folder):
    edit_yaml(folder, cameras={"front": "top_rgb"})
    text = refusal(folder)
    assert "top_rgb" in text
    assert "base_0_rgb" in text


def test_too_few_names_are_refused(folder):
    edit_yaml(folder, action_names=["a", "b"])
    assert "action_names" in refusal(folder)


def test_an_unknown_type_lists_the_known_ones(folder):
    edit_json(folder / "config.json", type="pi7")
    text = refusal(folder)
    assert "pi7" in text
    assert "smolvla" in text


def test_more_memory_than_there_is_is_refused_before_loading(folder, monkeypatch):
    class Little:
        available = 1000

    monkeypatch.setattr("vla_ros.policy.checkpoints.weights.psutil.virtual_memory", lambda: Little)
    assert "memory" in refusal(folder)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", ["pi0", "pi05", "smolvla"])
def test_bfloat16_stays_near_float32_whether_the_processor_knows_it_or_not(
    name, known, tmp_path, monkeypatch
):
    monkeypatch.setattr(linear, "has_bfloat16", lambda: known)
    monkeypatch.setattr(linear, "_WORTH", 0)
    folder = Path(shutil.copytree(GOLDEN / name / "checkpoint", tmp_path / name))
    exact = load_policy(str(folder))
    options = yaml.safe_load((folder / "vla.yaml").read_text())["options"]
    edit_yaml(folder, options={**options, "dtype": "bfloat16"})
    request = request_for(exact.spec)
    a, b = exact.infer(request).ravel(), load_policy(str(folder)).infer(request).ravel()
    assert float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) > 0.999


@pytest.mark.parametrize("name", ["pi0", "pi05", "smolvla"])
def test_int8_stays_near_float32(name, tmp_path):
    folder = Path(shutil.copytree(GOLDEN / name / "checkpoint", tmp_path / name))
    exact = load_policy(str(folder))
    options = yaml.safe_load((folder / "vla.yaml").read_text())["options"]
    edit_yaml(folder, options={**options, "dtype": "int8"})
    policy = load_policy(str(folder))
    assert any(isinstance(module, linear.Int8Linear) for module in policy._model.modules())
    request = request_for(exact.spec)
    a, b = exact.infer(request).ravel(), policy.infer(request).ravel()
    assert float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) > 0.999


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("smolvla", {"behaviour": "lerobot_0_4"}),
        ("smolvla", {"asset": "mine"}),
        ("pi0", {"shifted_positions": True}),
        ("pi05", {"temperature": 1.0}),
    ],
)
def test_an_option_of_another_family_is_refused(name, option, tmp_path):
    folder = Path(shutil.copytree(GOLDEN / name / "checkpoint", tmp_path / name))
    declared = yaml.safe_load((folder / "vla.yaml").read_text())
    edit_yaml(folder, options={**declared["options"], **option})
    assert f"options: {next(iter(option))}" in refusal(folder)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({"visoin": {"width": 8}}, "options: sizes.visoin"),
        ({"language": {"breadth": 8}}, "options.sizes.language: .*'breadth'"),
    ],
)
def test_a_size_that_does_not_exist_is_refused_by_name(sizes, text, folder):
    edit_yaml(folder, options={"sizes": sizes})
    assert re.search(text, refusal(folder))


def test_an_unknown_variant_is_refused_with_those_that_are_known(folder):
    edit_json(folder / "config.json", action_expert_variant="gemma_9b")
    assert "'gemma_9b' is none of ['gemma_2b', 'gemma_300m']" in refusal(folder)


def test_reusing_unchanged_images_changes_no_chunk(folder):
    plain = load_policy(str(folder))
    edit_yaml(
        folder,
        options={
            **yaml.safe_load((folder / "vla.yaml").read_text())["options"],
            "reuse_images": True,
        },
    )
    reusing = load_policy(str(folder))
    for seed in (1, 1, 2):
        request = request_for(plain.spec, seed)
        np.testing.assert_allclose(reusing.infer(request), plain.infer(request), atol=1e-6)


def test_a_recorded_computation_and_reused_images_exclude_each_other(folder):
    edit_yaml(
        folder,
        options={
            **yaml.safe_load((folder / "vla.yaml").read_text())["options"],
            "reuse_images": True,
            "cuda_graphs": True,
        },
    )
    with pytest.raises(VlaError, match="not both"):
        load_policy(str(folder))
