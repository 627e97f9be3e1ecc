"""The schedule of real-time chunking: soft mask, strength of the pull, largest delay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.chunks.rtc import (
    ESTIMATED_FROM,
    Mask,
    furthest_delay,
    guidance_weight,
    soft_mask,
    yielded,
)

# Printed by lerobot 0.4.4's RTC processor for 10 rows, delay 3, 7 rows left of the plan before.
PEER: dict[Mask, list[float]] = {
    "exponential": [1, 1, 1, 0.570589, 0.28707242, 0.11449222, 0.02577025, 0, 0, 0],
    "linear": [1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0],
    "full": [1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "hard": [1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
}


@pytest.mark.parametrize("mask", list(PEER))
def test_masks_are_those_of_the_peer(mask: Mask) -> None:
    assert soft_mask(10, 3, 7, mask) == pytest.approx(PEER[mask], abs=1e-7)


@given(
    st.integers(1, 60),
    st.integers(0, 80),
    st.integers(0, 80),
    st.sampled_from(list(PEER)),
)
def test_a_mask_falls_from_frozen_rows_to_rows_the_old_plan_does_not_reach(
    horizon: int, delay: int, overlap: int, mask: Mask
) -> None:
    weights = soft_mask(horizon, delay, overlap, mask)
    assert weights.shape == (horizon,)
    assert (np.diff(weights) <= 0.0).all()
    assert (weights[: min(delay, overlap)] == 1.0).all()
    assert (weights[overlap:] == 0.0).all()
    assert weights.min() >= 0.0


def test_the_soft_mask_is_equation_5_of_the_paper() -> None:
    horizon, delay, executed = 50, 6, 20
    weights = soft_mask(horizon, delay, horizon - executed)
    for i in range(delay, horizon - executed):
        c = (horizon - executed - i) / (horizon - executed - delay + 1)
        assert weights[i] == pytest.approx(c * (np.exp(c) - 1.0) / (np.e - 1.0))


def test_the_pull_is_clipped_at_both_ends_and_two_in_the_middle() -> None:
    assert guidance_weight(0.0, 5.0) == guidance_weight(1.0, 5.0) == 5.0
    assert guidance_weight(0.5, 5.0) == pytest.approx(2.0)
    tau = 0.2
    r2 = (1 - tau) ** 2 / (tau**2 + (1 - tau) ** 2)
    assert guidance_weight(tau, 5.0) == pytest.approx((1 - tau) / (tau * r2))


@pytest.mark.parametrize(("jacobian"), ["none", "full"])
def test_guided_euler_steps_reach_the_frozen_rows_of_an_analytic_flow(jacobian: str) -> None:
    """Data N(0, 0.3^2) per row: the flow and its Jacobian are known in closed form."""
    rows, steps, spread = 20, 50, 0.3**2
    y = np.linspace(-0.5, 0.5, rows)
    mask = soft_mask(rows, 5, 15)
    x = np.random.default_rng(0).normal(size=rows)
    free = x.copy()
    for k in range(steps):
        tau = k / steps
        gain = tau * spread / (tau**2 * spread + (1 - tau) ** 2)
        free += (gain * free - free) / (1 - tau) / steps
        x1 = gain * x
        pull = mask * (y - x1) * (1.0 if jacobian == "none" else gain)
        x += ((x1 - x) / (1 - tau) + guidance_weight(tau, 5.0) * pull) / steps
    frozen = np.abs(x - y)[:5].max()
    assert frozen < 0.5 * np.abs(free - y)[:5].max()
    assert x[15:] == pytest.approx(free[15:])


def pulled(spread: float, steps: int, jacobian: str) -> float:
    """How far a plan at 1 pulls a policy whose data are N(0, spread), from the middle of them."""
    x, first = np.zeros((1, 1)), np.ones((1, 1))
    for k in range(steps):
        tau = k / steps
        gain = tau * spread / (tau**2 * spread + (1 - tau) ** 2)
        pull = 1.0 - gain * x
        if jacobian == "estimated" and tau >= ESTIMATED_FROM:
            pull = pull * yielded(pull, first)
        elif jacobian == "full":
            pull = pull * gain
        x = x + ((gain * x - x) / (1 - tau) + guidance_weight(tau, 5.0) * pull) / steps
    return float(x[0, 0])


@pytest.mark.parametrize("steps", [5, 10])
def test_an_estimated_jacobian_lets_a_sure_policy_be_as_the_true_one_does(steps: int) -> None:
    for deviation in (0.03, 0.05, 0.1):
        spread = deviation**2
        assert pulled(spread, steps, "estimated") == pytest.approx(
            pulled(spread, steps, "full"), abs=0.1
        )
        assert pulled(spread, steps, "none") > 0.5
    assert pulled(0.03**2, steps, "estimated") < 0.04


@pytest.mark.parametrize("steps", [5, 10])
def test_an_estimated_jacobian_holds_an_unsure_policy_to_the_plan(steps: int) -> None:
    for deviation in (0.3, 0.5, 1.0):
        assert pulled(deviation**2, steps, "estimated") == pytest.approx(1.0, abs=0.15)


def test_what_is_yielded_is_told_column_by_column() -> None:
    first = np.tile([1.0, 2.0, 0.0, -1.0, 1.0], (4, 1))
    left = first * np.array([1.0, 0.25, 1.0, -0.5, 1.5])  # kept, given up, none, too far, further
    assert yielded(left, first) == pytest.approx([0.0, 0.75, 1.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: soft_mask(0, 1, 1), "horizon >= 1"),
        (lambda: soft_mask(5, -1, 1), "delay >= 0"),
        (lambda: guidance_weight(1.5, 5.0), "flow time"),
    ],
)
def test_what_makes_no_sense_is_refused(call, text) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=text):
        call()


def test_the_largest_delay_is_half_the_chunk_or_what_was_trained() -> None:
    assert furthest_delay(50) == 25
    assert furthest_delay(50, 12) == 12
    assert furthest_delay(16, 12) == 8
