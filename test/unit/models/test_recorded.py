"""Recorded computations, with a stand-in for a GPU's graph that repeats on the same memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_ros.policy.load import load_policy
from vla_ros.policy.models.recorded import Recorded
from vla_ros.policy.remote.blank import blank_request

GOLDEN = Path(__file__).parents[2] / "golden"


class OnCpu:
    """Repeats a computation into the memory of its first answer, as a graph does."""

    def __init__(self):
        self.recordings = 0

    def __call__(self, compute):
        self.recordings += 1
        out = compute()

        def repeat():
            out.copy_(compute())

        return repeat, out


def test_new_values_are_answered_and_old_answers_stay():
    record = OnCpu()
    double = Recorded(lambda x, y: 2 * x, record=record)
    first = double(torch.tensor([1.0, 2.0]), None)
    second = double(torch.tensor([3.0, 4.0]), None)
    assert first.tolist() == [2.0, 4.0]
    assert second.tolist() == [6.0, 8.0]
    assert record.recordings == 1


def test_each_combination_of_shapes_types_and_absences_is_recorded_once():
    record = OnCpu()
    total = Recorded(lambda x, y: x.sum() + (0 if y is None else y.sum()), record=record)
    one, two = torch.ones(1), torch.ones(2)
    asked = [(one, None), (two, None), (one, one), (one.double(), None)]
    answers = [float(total(*pair)) for pair in asked * 2]
    assert answers == [1.0, 2.0, 2.0, 1.0] * 2
    assert record.recordings == 4


def test_the_oldest_recording_goes_when_there_are_too_many():
    record = OnCpu()
    double = Recorded(lambda x: 2 * x, record=record, most=2)
    for count in (1, 2, 3, 3, 2, 1):
        assert double(torch.ones(count)).tolist() == [2.0] * count
    assert record.recordings == 4


def test_the_memory_that_was_given_is_not_used_again():
    double = Recorded(lambda x: 2 * x, record=OnCpu())
    given = torch.ones(2)
    double(given)
    double(torch.full((2,), 5.0))
    assert given.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["pi0", "pi05", "smolvla"])
def test_a_policy_s_recorded_chunks_are_its_own_whatever_the_prompt(name):
    policy = load_policy(str(GOLDEN / name / "checkpoint"))
    prompts = ("open the drawer", "open it now", "open it")
    requests = [
        replace(blank_request(policy.spec, prompt), seed=seed)
        for seed, prompt in enumerate(prompts)
    ]
    plain = [policy.infer(request) for request in requests]
    policy._recorded = Recorded(policy._whole, record=OnCpu())
    for request, chunk in zip(requests * 2, plain * 2, strict=True):
        np.testing.assert_allclose(policy.infer(request), chunk, atol=1e-4)
    assert policy._recorded._kept
