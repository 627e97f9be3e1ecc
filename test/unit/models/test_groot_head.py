"""GR00T's action head against LeRobot's port of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vla_ros.errors import VlaError
from vla_ros.policy.families.groot_weights import load_groot_head
from vla_ros.policy.models.groot import GrootHead, GrootPrefix, GrootSizes, groot_loss

GOLDEN = Path(__file__).parents[2] / "golden" / "groot"
SIZES = GrootSizes(
    backbone_dim=40,
    state_dim=12,
    action_dim=10,
    horizon=8,
    embodiments=4,
    heads=4,
    head_dim=12,
    layers=4,
    hidden=32,
    backbone_heads=4,
    backbone_layers=2,
    future_tokens=6,
    max_rows=64,
)


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    return load_file(GOLDEN / "inputs.safetensors")


@pytest.fixture(scope="module")
def outputs() -> dict[str, Tensor]:
    return load_file(GOLDEN / "outputs.safetensors")


@pytest.fixture(scope="module")
def head() -> GrootHead:
    return load_groot_head(GOLDEN / "model.safetensors", SIZES)


@pytest.fixture(scope="module")
def prefix(head: GrootHead, inputs: dict[str, Tensor]) -> GrootPrefix:
    with torch.no_grad():
        return head.encode(inputs["backbone_features"], inputs["state"], inputs["embodiment_id"])


def close(ours: Tensor, theirs: Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=1e-4)


def test_each_part_is_lerobots(head, inputs, outputs) -> None:
    body, bucket = inputs["embodiment_id"], torch.full((2,), 250)
    with torch.no_grad():
        close(head.process_backbone(inputs["backbone_features"]), outputs["backbone_processed"])
        close(head.state_encoder(inputs["state"], body), outputs["state_features"])
        close(head.model.encode_time(bucket), outputs["timestep_embedding.t250"])
        tokens = head.action_encoder(inputs["noise"], bucket, body)
        close(tokens, outputs["action_features.t250"])


def test_a_chunk_in_four_steps_is_lerobots(head, prefix, inputs, outputs) -> None:
    with torch.no_grad():
        close(head.sample(prefix, inputs["noise"]), outputs["action_pred"], atol=1e-4)


def test_the_loss_is_lerobots(head, prefix, inputs, outputs) -> None:
    with torch.no_grad():
        loss = groot_loss(
            head,
            prefix,
            inputs["action"],
            inputs["noise"],
            1.0 - inputs["time"],
            inputs["action_mask"],
        )
    close(loss, outputs["loss"], atol=1e-4)


def test_the_embodiment_chooses_the_weights(head, prefix, inputs) -> None:
    other = dataclasses.replace(prefix, embodiment=(prefix.embodiment + 1) % 4)
    with torch.no_grad():
        a, b = head.sample(prefix, inputs["noise"]), head.sample(other, inputs["noise"])
    assert (a - b).abs().max() > 1e-2


@pytest.mark.parametrize("name", ["action_head.vlln.bias", "action_head.future_tokens.weight"])
def test_a_missing_tensor_is_refused(name: str, tmp_path: Path) -> None:
    weights = load_file(GOLDEN / "model.safetensors")
    del weights[name]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(VlaError, match="missing"):
        load_groot_head(tmp_path / "model.safetensors", SIZES)


def test_a_backbone_in_the_same_file_does_not_disturb(tmp_path: Path) -> None:
    weights = {**load_file(GOLDEN / "model.safetensors"), "backbone.x": torch.zeros(3)}
    save_file(weights, tmp_path / "model.safetensors")
    load_groot_head(tmp_path / "model.safetensors", SIZES)
