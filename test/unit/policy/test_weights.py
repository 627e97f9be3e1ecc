"""Weights come out of a file piece by piece, as they went in."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vla_ros.policy.checkpoints import weights
from vla_ros.policy.checkpoints.weights import Part, TensorFile, WeightsError, fill


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    names = {"a": (30, 16), "b": (10, 16), "wide": (8, 32), "bias": (5,), "short": (3, 4)}
    out = {name: torch.randn(shape, generator=generator) for name, shape in names.items()}
    return {**out, "short": out["short"].bfloat16(), "scalar": torch.tensor(2.5)}


@pytest.fixture
def file(tensors, tmp_path):
    save_file(tensors, tmp_path / "x.safetensors")
    return TensorFile(tmp_path / "x.safetensors")


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stacked = nn.Parameter(torch.empty(40, 16))
        self.left = nn.Parameter(torch.empty(8, 12))
        self.bias = nn.Parameter(torch.empty(5))
        self.short = nn.Parameter(torch.empty(3, 4))
        self.scalar = nn.Parameter(torch.empty(()))


PARTS = {
    "stacked": Part(("a", "b")),
    "left": Part(("wide",), columns=slice(0, 12)),
    "bias": Part(("bias",), plus=1.0),
    "short": Part(("short",)),
    "scalar": Part(("scalar",)),
}


def test_every_piece_lands_in_its_place(tensors, file, monkeypatch):
    monkeypatch.setattr(weights, "_PIECE", 64)
    mapped = []
    real = TensorFile._map
    monkeypatch.setattr(
        TensorFile,
        "_map",
        lambda self, n, i, count: mapped.append(count) or real(self, n, i, count),
    )
    with torch.device("meta"):
        network = Network()
    fill(network, PARTS, file)
    assert torch.equal(network.stacked, torch.cat([tensors["a"], tensors["b"]]))
    assert torch.equal(network.left, tensors["wide"][:, :12])
    assert torch.equal(network.bias, tensors["bias"] + 1.0)
    assert torch.equal(network.short, tensors["short"].float())
    assert float(network.scalar) == 2.5
    assert max(mapped) <= 64


def test_a_whole_tensor_is_read_as_it_was_written(tensors, file):
    for name, tensor in tensors.items():
        assert torch.equal(file.read(name), tensor)


@pytest.mark.parametrize("spoiled", ["a", "bias", "short", "scalar"])
def test_infinity_is_found_wherever_it_is(tensors, tmp_path, spoiled, monkeypatch):
    monkeypatch.setattr(weights, "_PIECE", 64)
    tensors[spoiled].reshape(-1)[-1] = float("inf")
    save_file(tensors, tmp_path / "y.safetensors")
    with torch.device("meta"):
        network = Network()
    with pytest.raises(WeightsError, match=f"'{spoiled}' holds NaN"):
        fill(network, PARTS, TensorFile(tmp_path / "y.safetensors"))
