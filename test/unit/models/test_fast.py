"""FAST tokens against the reference processor's, and what is no chunk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from vla_ros.policy.models.fast import (
    FastError,
    FastTokenizer,
    fit_fast,
    from_paligemma_ids,
    load_fast,
    paligemma_ids,
    quantise,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "fast"


@pytest.fixture(scope="module")
def golden() -> dict[str, npt.NDArray[np.generic]]:
    return load_file(GOLDEN / "golden.safetensors")


@pytest.fixture(scope="module")
def tokenizer() -> FastTokenizer:
    return load_fast(GOLDEN)


def tokens_of(golden: dict[str, npt.NDArray[np.generic]], row: int) -> list[int]:
    return golden["tokens"][row, : golden["token_lengths"][row]].tolist()


def test_coefficients_are_the_references(golden) -> None:
    for chunk, expected in zip(golden["actions"], golden["dct_quantised"], strict=True):
        np.testing.assert_array_equal(quantise(chunk, 10.0), expected)


def test_tokens_and_chunks_are_the_references(tokenizer, golden) -> None:
    for row, chunk in enumerate(golden["actions"]):
        assert tokenizer.encode(chunk) == tokens_of(golden, row)
        decoded = tokenizer.decode(tokens_of(golden, row))
        np.testing.assert_allclose(decoded, golden["decoded"][row], atol=1e-9)


def test_places_in_paligemmas_vocabulary_are_openpis(golden) -> None:
    for row in range(len(golden["tokens"])):
        tokens = tokens_of(golden, row)
        expected = golden["paligemma_tokens"][row, : len(tokens)].tolist()
        assert paligemma_ids(tokens) == expected
        assert from_paligemma_ids(expected) == tokens


def test_a_fit_gives_the_references_tokens(golden) -> None:
    fitted = fit_fast(golden["train_actions"], scale=10.0, vocabulary=512)
    assert fitted.min_token == -36
    for row, chunk in enumerate(golden["actions"]):
        assert fitted.encode(chunk) == tokens_of(golden, row)


def test_saving_and_loading_changes_nothing(tokenizer, golden, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = load_fast(tmp_path)
    assert (again.horizon, again.action_dim, again.scale) == (16, 7, 10.0)
    assert again.encode(golden["actions"][0]) == tokens_of(golden, 0)


@pytest.mark.parametrize("tokens", [[], [1, 2, 3]])
def test_tokens_that_are_no_chunk_are_a_fault_and_never_zeros(tokenizer, tokens) -> None:
    with pytest.raises(FastError, match="expected 16 x 7"):
        tokenizer.decode(tokens)


def test_a_chunk_cut_off_or_continued_is_a_fault(tokenizer, golden) -> None:
    tokens = tokens_of(golden, 0)
    for broken in (tokens[:-1], [*tokens, tokens[0]]):
        with pytest.raises(FastError, match="coefficients"):
            tokenizer.decode(broken)


@pytest.mark.parametrize("token", [-1, 512, 257_000])
def test_a_token_that_does_not_exist_is_a_fault(tokenizer, golden, token: int) -> None:
    with pytest.raises(FastError, match="are none"):
        tokenizer.decode([*tokens_of(golden, 0)[:-1], token])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0.0, 1.0))
def test_decoding_undoes_encoding_up_to_the_rounding(seed: int, spread: float) -> None:
    tokenizer = load_fast(GOLDEN)
    smooth = np.cumsum(np.random.default_rng(seed).normal(0, 0.1, (16, 7)), axis=0)
    chunk = spread * np.clip(smooth, -1.0, 1.0)
    rounded = quantise(chunk, 10.0)
    error = tokenizer.decode(tokenizer.encode(chunk)) - chunk
    if rounded.min() >= tokenizer.min_token:
        # An orthonormal transform keeps lengths: each coefficient is off by 0.05 at most.
        assert np.linalg.norm(error) <= 0.05 * np.sqrt(chunk.size) + 1e-9


@pytest.mark.parametrize("chunk", [np.zeros((15, 7)), np.zeros(16), np.full((16, 7), np.nan)])
def test_what_is_no_chunk_is_not_encoded(tokenizer, chunk) -> None:
    with pytest.raises(FastError, match="finite chunk"):
        tokenizer.encode(chunk)


def test_more_coefficients_than_tokens_are_refused() -> None:
    with pytest.raises(FastError, match="smaller scale"):
        fit_fast(np.linspace(-1, 1, 160).reshape(2, 16, 5), scale=1000.0, vocabulary=64)


def test_a_folder_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FastError, match="processor_config"):
        load_fast(tmp_path)
    (tmp_path / "processor_config.json").write_text(json.dumps({"scale": 10, "min_token": 0}))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(FastError):
        load_fast(tmp_path)
