"""The grounding probe: does the network look where the words point?

Flow and auxiliary losses can look healthy while the network has not tied a word to an object. The
probe gives held-back frames random instructions and counts how often the object nearest to the
predicted target is the named one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vla_ros.policy.models.nano import Nano
from vla_ros.train.batches import Batch, BatchMaker


def _nearest(point: Tensor, places: Tensor) -> Tensor:
    """Index of the nearest place. Shapes (B, 2), (B, P, 2) -> (B,)."""
    return (places - point[:, None]).norm(dim=-1).argmin(dim=-1)


@torch.no_grad()
def _hits(model: Nano, batch: Batch) -> tuple[Tensor, Tensor]:
    said = model.encode(batch.images, batch.state, batch.words).readings
    assert said is not None  # images were given
    objects = model.sizes.objects
    near_object = _nearest(said.target[:, :2], batch.scene[:, :objects, :2])
    near_bin = _nearest(said.target[:, -2:], batch.scene[:, objects:, :2])
    return near_object == batch.object_index, near_bin == batch.bin_index


def grounding(
    model: Nano,
    maker: BatchMaker,
    index: npt.NDArray[np.int64],
    device: torch.device,
) -> dict[str, float]:
    """Share of frames whose named object, and bin, is the nearest to the predicted one.

    Args:
        model: The network.
        maker: Source of batches.
        index: Frames to look at. Shape (N,), N > 0.
        device: Where the network is.

    Returns:
        ``object`` and ``bin`` with wordings of training, ``object_held_out`` and
        ``bin_held_out`` with wordings never trained on.
    """
    shares = {}
    for held_out in (False, True):
        hits: list[tuple[Tensor, Tensor]] = []
        for start in range(0, len(index), 64):
            part = index[start : start + 64]
            hits.append(_hits(model, maker.probe(part, held_out=held_out, seed=start).to(device)))
        suffix = "_held_out" if held_out else ""
        for name, column in zip(("object", "bin"), zip(*hits, strict=True), strict=True):
            shares[name + suffix] = float(torch.cat(column).float().mean())
    return shares
