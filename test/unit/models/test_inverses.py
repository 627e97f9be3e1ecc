"""Every step between the robot's values and a network's comes back as it went in."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))

from serving import SPEC, request_with

from vla_ros.policy.processors import MeanStd, ProcessorError, Range, RelativeActions, ZeroPadding
from vla_ros.policy.remote import KeyMap

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=60, deadline=None)


@few
@given(seed=seeds, eps=st.sampled_from([0.0, 1e-8, 1e-6]), both=st.booleans())
def test_statistics_undo_themselves(seed: int, eps: float, both: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(5, 4)) * 3.0
    low = rng.normal(size=4).astype(np.float32)
    spread = rng.uniform(0.05, 3.0, 4).astype(np.float32)
    for step in (
        MeanStd(low, spread, eps, eps if both else 0.0),
        Range(low, low + spread, eps),
    ):
        inside = step.apply(values)
        # Where epsilon is added on one way only, as LeRobot does, it remains: relative to 0.05.
        np.testing.assert_allclose(step.invert(inside), values, rtol=1e-4, atol=1e-4)
        assert np.abs(inside - values).max() > 1e-6


@few
@given(seed=seeds)
def test_ranges_end_at_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.normal(size=3).astype(np.float32)
    high = low + rng.uniform(0.1, 2.0, 3).astype(np.float32)
    ends = Range(low, high).apply(np.stack([low, high]))
    np.testing.assert_allclose(ends, [[-1.0] * 3, [1.0] * 3], atol=1e-5)


@few
@given(seed=seeds, size=st.integers(1, 8), more=st.integers(0, 24))
def test_padding_is_zeros_and_comes_off(seed: int, size: int, more: int) -> None:
    values = np.random.default_rng(seed).normal(size=(3, size))
    step = ZeroPadding(size, size + more)
    padded = step.apply(values)
    assert padded.shape == (3, size + more)
    assert not padded[:, size:].any()
    np.testing.assert_array_equal(step.invert(padded), values)


def test_more_elements_than_the_network_has_are_refused() -> None:
    with pytest.raises(ProcessorError, match="do not fit"):
        ZeroPadding(9, 8)


@few
@given(seed=seeds, chosen=st.permutations(range(4)), count=st.integers(0, 4))
def test_relative_actions_become_absolute_again(seed: int, chosen: list[int], count: int) -> None:
    rng = np.random.default_rng(seed)
    actions, state = rng.normal(size=(6, 4)), rng.normal(size=5)
    step = RelativeActions(tuple(chosen[:count]), tuple(range(count)))
    inside = step.apply(actions, state)
    np.testing.assert_allclose(step.invert(inside, state), actions, atol=1e-12)
    for action, element in zip(step.action_index, step.state_index, strict=True):
        np.testing.assert_allclose(inside[:, action], actions[:, action] - state[element])


@few
@given(
    seed=seeds,
    actions=st.permutations(["joint1", "joint2", "", ""]),
    flipped=st.lists(st.sampled_from(SPEC.action_names), unique=True),
    degrees=st.lists(st.sampled_from(SPEC.action_names), unique=True),
    split=st.booleans(),
)
def test_a_servers_words_for_things_translate_both_ways(
    seed: int, actions: list[str], flipped: list[str], degrees: list[str], split: bool
) -> None:
    state = {"a": ("joint2",), "b.c": ("joint1",)} if split else {"a": ("joint2", "joint1")}
    keys = KeyMap(
        images={"front": "images/one", "wrist": "images.two"},
        state=state,
        actions=tuple(actions),
        flipped=tuple(flipped),
        degrees=tuple(degrees),
        prompt="task",
    )
    keys.check(SPEC)
    rng = np.random.default_rng(seed)
    request = request_with(tuple(rng.normal(size=2)), prompt="go there")
    back = keys.understand(keys.encode(request, SPEC), SPEC)
    np.testing.assert_allclose(back["state"], request.observation.state, rtol=1e-6)
    assert back["prompt"] == "go there"
    for key, image in request.observation.images.items():
        np.testing.assert_array_equal(back["images"][key], image)
    chunk = rng.normal(size=(SPEC.horizon, 2))
    told = keys.tell(chunk, SPEC)
    assert told.shape == (SPEC.horizon, 4)
    np.testing.assert_allclose(keys.decode(told, SPEC), chunk, atol=1e-9)
