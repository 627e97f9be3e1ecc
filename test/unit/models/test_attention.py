"""Attention against the plain formula."""

from __future__ import annotations

import torch

from vla_ros.policy.models.attention import attend, attend_with_prefix


def test_grouped_heads_equal_repeated_keys_and_values() -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 6, 5, 8)
    key, value = torch.randn(2, 2, 2, 7, 8).unbind(0)
    repeated = [x.repeat_interleave(3, dim=1) for x in (key, value)]
    expected = torch.nn.functional.scaled_dot_product_attention(query, *repeated)
    assert torch.allclose(attend(query, key, value), expected, atol=1e-6)


def test_masked_tokens_do_not_matter() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 4, 8).unbind(0)
    mask = torch.tensor([True, True, False, True])[None, None, None]
    before = attend(query, key, value, mask)
    key[:, :, 2], value[:, :, 2] = 5.0, 5.0
    assert torch.equal(before, attend(query, key, value, mask))


def test_packed_draws_equal_a_block_diagonal_mask() -> None:
    torch.manual_seed(0)
    batch, heads, rows, draws, prefix, size = 2, 3, 4, 3, 5, 8
    shape = (batch, heads, rows * draws, size)
    query, key, value = (torch.randn(shape) for _ in range(3))
    prefix_key, prefix_value = torch.randn(2, batch, heads, prefix, size).unbind(0)
    group = torch.arange(rows * draws) // rows
    own = group[:, None] == group[None]
    mask = torch.cat([torch.ones(rows * draws, prefix, dtype=torch.bool), own], dim=1)
    expected = attend(
        query,
        torch.cat([prefix_key, key], 2),
        torch.cat([prefix_value, value], 2),
        mask[None, None],
    )
    got = attend_with_prefix(query, key, value, prefix_key, prefix_value, draws=draws)
    assert torch.allclose(got, expected, atol=1e-6)


def test_prefix_padding_does_not_matter() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 2, 4, 8).unbind(0)
    prefix_key, prefix_value = torch.randn(2, 2, 2, 5, 8).unbind(0)
    valid = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    before = attend_with_prefix(query, key, value, prefix_key, prefix_value, prefix_valid=valid)
    prefix_key[1, :, 3:], prefix_value[1, :, 3:] = 9.0, 9.0
    after = attend_with_prefix(query, key, value, prefix_key, prefix_value, prefix_valid=valid)
    assert torch.equal(before, after)
