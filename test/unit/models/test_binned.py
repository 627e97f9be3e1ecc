"""One token per action element."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.policy.models.binned import (
    BinError,
    BinnedActions,
    fit_bins,
    from_token_ids,
    token_ids,
)

VOCABULARY = 32_000
BINNED = BinnedActions(low=np.array([-1.0, 0.0, 5.0]), high=np.array([1.0, 0.1, 9.0]))

SHARES = st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3)
BINS = st.lists(st.integers(0, 255), min_size=3, max_size=3)


@given(SHARES)
def test_decoding_is_off_by_half_a_bin_at_most(shares: list[float]) -> None:
    actions = BINNED.low + np.array(shares) * (BINNED.high - BINNED.low)
    error = np.abs(BINNED.decode(BINNED.encode(actions)) - actions)
    assert (error <= (BINNED.high - BINNED.low) / 512 + 1e-9).all()


@given(BINS)
def test_a_bin_survives_decoding_and_encoding(bins: list[int]) -> None:
    np.testing.assert_array_equal(BINNED.encode(BINNED.decode(np.array(bins))), bins)


@given(st.lists(BINS, min_size=1, max_size=4))
def test_tokens_lead_back_to_the_bins(rows: list[list[int]]) -> None:
    bins = np.array(rows)
    ids = token_ids(bins, VOCABULARY)
    assert all(VOCABULARY - 256 <= number < VOCABULARY for number in ids)
    np.testing.assert_array_equal(from_token_ids(ids, VOCABULARY, 3), bins)


def test_what_lies_outside_is_in_the_outermost_bin() -> None:
    outside = np.stack([BINNED.low - 3.0, BINNED.high + 3.0])
    np.testing.assert_array_equal(BINNED.encode(outside), [[0] * 3, [255] * 3])


def test_a_fit_cuts_off_the_outliers_of_each_element() -> None:
    data = np.random.default_rng(0).uniform([-2.0, 3.0], [2.0, 4.0], (20_000, 2))
    data[:20] = 1e6
    fitted = fit_bins(data)
    np.testing.assert_allclose(fitted.low, [-1.96, 3.01], atol=0.02)
    np.testing.assert_allclose(fitted.high, [1.96, 3.99], atol=0.02)


def test_a_token_that_is_no_bin_is_a_fault() -> None:
    for ids in ([VOCABULARY, 31_999, 31_999], [100, 31_999, 31_999]):
        with pytest.raises(BinError, match="malformed"):
            BINNED.decode(from_token_ids(ids, VOCABULARY, 3))


@pytest.mark.parametrize("count", [0, 2, 4])
def test_half_a_row_is_a_fault(count: int) -> None:
    with pytest.raises(BinError, match="cut off"):
        from_token_ids([31_999] * count, VOCABULARY, 3)


def test_an_element_that_never_changes_has_no_bins() -> None:
    with pytest.raises(BinError, match="never changes"):
        fit_bins(np.ones((100, 2)))


def test_what_is_not_finite_has_no_bin() -> None:
    with pytest.raises(BinError, match="finite"):
        BINNED.encode(np.array([0.0, np.nan, 6.0]))
