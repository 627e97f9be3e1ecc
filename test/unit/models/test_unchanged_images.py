from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_ros.policy.models.unchanged_images import reuse_unchanged


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        return images.flatten(1)[:, None].repeat(1, 2, 1)


def encoder() -> Counting:
    made = Counting()
    reuse_unchanged(made)
    return made


def test_only_changed_images_are_encoded_again() -> None:
    ours, plain = encoder(), Counting()
    images = torch.rand(3, 3, 4, 4)
    changed = images.clone()
    changed[1, 0, 2, 3] += 1e-3
    for batch in (images, images, changed, changed, images):
        torch.testing.assert_close(ours(batch), plain(batch), rtol=0.0, atol=0.0)
    assert ours.sizes == [3, 1, 1]


def test_another_number_of_images_is_encoded_whole() -> None:
    ours = encoder()
    ours(torch.zeros(2, 3, 4, 4))
    assert ours(torch.zeros(3, 3, 4, 4)).shape[0] == 3
    assert ours.sizes == [2, 3]


def test_a_caller_that_reuses_its_buffer_is_noticed() -> None:
    ours, images = encoder(), torch.zeros(1, 3, 4, 4)
    ours(images)
    images += 1.0
    assert ours(images).max() == 1.0
