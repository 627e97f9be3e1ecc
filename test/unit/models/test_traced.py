"""What is traced answers as the function does, and is the function where torch cannot trace."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

from vla_ros.policy.models.traced import Traced


def looping(x: Tensor, y: Tensor) -> Tensor:
    for _ in range(3):
        x = torch.nn.functional.layer_norm(x @ y, x.shape[-1:])
    return x


def inputs(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 8, generator=generator), torch.randn(8, 8, generator=generator)


def test_every_answer_is_the_functions_bit_by_bit_and_nothing_is_said():
    traced = Traced(looping)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(5):
            assert torch.equal(traced(*inputs(seed)), looping(*inputs(seed)))


def test_the_function_is_called_from_python_only_once():
    calls = []

    def counted(x: Tensor) -> Tensor:
        calls.append(1)
        return x + 1

    traced = Traced(counted)
    for _ in range(4):
        traced(torch.zeros(2))
    assert len(calls) == 1


def test_without_tracing_the_function_is_called_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(torch.jit, "trace")
    assert torch.equal(Traced(looping)(*inputs(1)), looping(*inputs(1)))
