"""Processors undo themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_ros.policy.checkpoints.nano import action_processor, as_float32
from vla_ros.policy.processors import MeanStd, ProcessorError

NAMES = ("a", "b", "c")


@given(seed=st.integers(0, 2**32 - 1), offset=st.floats(-3.0, 3.0))
@settings(max_examples=50, deadline=None)
def test_actions_come_back_as_they_went_in(seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    std = as_float32(rng.uniform(0.02, 2.0, (4, 3)))
    std = as_float32(np.where([False, True, False], 1.0, std))
    mean = as_float32(np.where([False, True, False], 0.0, rng.normal(size=(4, 3))))
    kinds = ("position", "binary", "position")
    steps = action_processor(("c", "x", "a"), NAMES, kinds, MeanStd(mean, std))
    actions = rng.normal(size=(2, 4, 3)) + offset
    actions[..., 1] = rng.integers(0, 2, (2, 4))
    state = rng.normal(size=(2, 3))
    inside = steps.apply(actions, state)
    assert set(np.unique(inside[..., 1])) <= {-1.0, 1.0}
    assert np.allclose(steps.invert(inside, state), actions, atol=1e-9)
    # Element "a" is relative to the third state element, "c" to the first.
    assert np.allclose(
        inside[..., 0], (actions[..., 0] - state[:, None, 2] - mean[:, 0]) / std[:, 0]
    )


def test_a_statistic_that_never_changed_is_refused() -> None:
    with pytest.raises(ProcessorError, match="never changed"):
        MeanStd(as_float32(np.zeros(3)), as_float32(np.array([1.0, 0.0, 1.0])))
