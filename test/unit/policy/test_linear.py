"""Linear layers that are faster on a CPU compute what `nn.Linear` computes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from vla_ros.policy.load import load_policy
from vla_ros.policy.models import linear
from vla_ros.policy.models.linear import (
    Int8Linear,
    PackedLinear,
    WidenedLinear,
    inputs_first,
    prepare,
)
from vla_ros.policy.remote.blank import blank_request

GOLDEN = Path(__file__).parents[2] / "golden"

KINDS = [(PackedLinear, torch.float32), (PackedLinear, torch.bfloat16)]
KINDS += [(WidenedLinear, torch.bfloat16)]


def plain(dtype: torch.dtype, *, bias: bool = True, out: int = 50) -> nn.Linear:
    torch.manual_seed(3)
    layer = nn.Linear(37, out, bias=bias).to(dtype)
    return layer.requires_grad_(False)


def answer(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return layer(x).float()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_it_answers_as_the_plain_layer(kind, dtype, bias):
    layer = plain(dtype, bias=bias)
    x = torch.randn(2, 7, 37).to(dtype)
    fast = kind(layer)
    inputs = x.float() if kind is WidenedLinear else x
    exact = answer(layer.float(), x.float())
    error = (answer(fast, inputs) - exact).abs().max()
    assert error < (5e-3 if inputs.dtype == torch.bfloat16 else 1e-5)


def test_large_weights_are_widened_in_pieces(monkeypatch):
    monkeypatch.setattr(linear, "_PIECE", 37 * 16)
    layer = plain(torch.bfloat16)
    x = torch.randn(7, 37)
    torch.testing.assert_close(answer(WidenedLinear(layer), x), answer(layer.float(), x))


@pytest.mark.parametrize("bias", [True, False])
def test_int8_weights_are_off_by_half_a_step_of_their_row(bias):
    layer = plain(torch.bfloat16, bias=bias)
    layer.weight.data[3] = 0.0
    layer.weight.data[4] *= 1e3
    eye = torch.eye(37)
    exact = answer(layer.float(), eye)
    small = Int8Linear(layer)
    assert small.weight.dtype == torch.int8
    step = layer.weight.abs().amax(dim=1) / 127.0
    error = (answer(small, eye) - exact).abs()
    assert (error <= 0.5 * step + 1e-5).all()
    assert (error.amax(dim=0) > 0.2 * step)[step > 0].all()


def test_gradients_through_int8_weights_are_those_of_what_they_stand_for():
    small = Int8Linear(plain(torch.bfloat16))
    x = torch.randn(7, 37).requires_grad_(True)
    (ours,) = torch.autograd.grad(small(x).sum(), x)
    meant = small.weight.float() * small.scale[:, None]
    torch.testing.assert_close(ours, meant.sum(dim=0).expand(7, -1))


@pytest.mark.parametrize("known", [True, False])
def test_of_an_int8_checkpoint_all_but_words_and_matrices_is_float32(known, tmp_path, monkeypatch):
    monkeypatch.setattr(linear, "has_bfloat16", lambda: known)
    folder = Path(shutil.copytree(GOLDEN / "smolvla" / "checkpoint", tmp_path / "smolvla"))
    declared = yaml.safe_load((folder / "vla.yaml").read_text())
    declared["options"]["dtype"] = "int8"
    (folder / "vla.yaml").write_text(yaml.safe_dump(declared))
    policy = load_policy(str(folder))
    policy.to(torch.device("cpu"))  # once more
    layers = dict(policy._model.named_modules())
    for name, tensor in policy._model.named_parameters():
        layer = layers[name.rpartition(".")[0]]
        small = name.endswith("weight") and isinstance(layer, Int8Linear)
        expected = torch.bfloat16 if name == "words.weight" else torch.float32
        assert tensor.dtype == (torch.int8 if small else expected), name
    kinds = {name: type(layer) for name, layer in layers.items()}
    assert kinds["project"] is Int8Linear
    assert kinds["action_in"] is not Int8Linear


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_gradients_of_its_input_are_those_of_the_plain_layer(kind, dtype):
    inside = torch.float32 if kind is WidenedLinear else dtype
    x = torch.randn(7, 37).to(inside).requires_grad_(True)
    layer = plain(dtype)
    fast = kind(layer)
    (ours,) = torch.autograd.grad(fast(x).sum(), x)
    (exact,) = torch.autograd.grad(layer.to(inside)(x).sum(), x)
    torch.testing.assert_close(ours, exact)


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_it_moves_to_another_device(kind, dtype):
    fast = kind(plain(dtype)).to("meta")
    x = torch.empty(7, 37, device="meta", dtype=dtype if kind is PackedLinear else torch.float32)
    assert fast(x).device.type == "meta"


@pytest.mark.parametrize("name", ["pi0", "pi05", "smolvla"])
def test_a_chunk_is_the_same_when_every_layer_is_packed(name, monkeypatch):
    monkeypatch.setattr(linear, "_WORTH", 1 << 60)
    policy = load_policy(str(GOLDEN / name / "checkpoint"))
    request = replace(blank_request(policy.spec, "open the drawer"), seed=3)
    plain = policy.infer(request)
    monkeypatch.setattr(linear, "_WORTH", 0)
    packed = load_policy(str(GOLDEN / name / "checkpoint"))
    assert any(isinstance(module, PackedLinear) for module in packed._model.modules())
    np.testing.assert_allclose(packed.infer(request), plain, atol=1e-4)


def test_only_embeddings_and_matrices_stay_bfloat16_where_the_processor_does_not_know_it(
    monkeypatch,
):
    monkeypatch.setattr(linear, "has_bfloat16", lambda: False)
    network = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 8), nn.LayerNorm(8)).bfloat16()
    for _ in range(2):
        prepare(network)
    types = {name: tensor.dtype for name, tensor in network.named_parameters()}
    kept = {name for name, dtype in types.items() if dtype == torch.bfloat16}
    assert kept == {"0.weight", "1.weight"}
    with torch.no_grad():
        assert network[1:](torch.randn(3, 8)).dtype == torch.float32


def test_weights_that_lie_by_their_inputs_give_the_same_answers() -> None:
    network = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 8, bias=False))
    x = torch.randn(16, 24)
    expected = network(x)
    inputs_first(network)
    torch.testing.assert_close(network(x), expected)
    assert [network[k].weight.stride() for k in (0, 2)] == [(1, 40), (1, 8)]
