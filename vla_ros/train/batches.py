"""Frames of a demonstration set -> training batches.

A batch is a pure function of (seed, rank, step): a resumed run sees what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vla_ros.data.demos import DemoSet
from vla_ros.policy.checkpoints.nano import NanoStatistics, action_processor
from vla_ros.policy.checkpoints.nano_config import NanoConfig
from vla_ros.train.instructions import disturbed, instruction

VALIDATION_EVERY = 50
"""One episode in so many is never trained on; the grounding probe looks at those."""


YAW_SYMMETRY = 4
"""A cube looks the same after a quarter turn."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one training step looks at.

    Attributes:
        images: uint8, Shape (B, C, H, W, 3); None in a batch drawn without.
        state: Normalised. Shape (B, S).
        words: int64, Shape (B, L).
        actions: Normalised relative chunks. Shape (B, T, A).
        follows: bool, Shape (B,): the chunk belongs to the instruction (False: counterfactual).
        object_index: Asked object, int64, Shape (B,).
        bin_index: Asked bin, int64, Shape (B,).
        scene: Objects, then bins: normalised x y z, then sine and cosine of ``YAW_SYMMETRY`` times
            the yaw. Shape (B, P, 5).
        pixels: Where each camera sees them, -1 to 1 where in view. Shape (B, C, P, 2).
    """

    images: Tensor | None
    state: Tensor
    words: Tensor
    actions: Tensor
    follows: Tensor
    object_index: Tensor
    bin_index: Tensor
    scene: Tensor
    pixels: Tensor

    def to(self, device: torch.device) -> Batch:
        """Move all tensors."""
        moved: dict[str, Any] = {
            name: None if value is None else value.to(device) for name, value in vars(self).items()
        }
        return Batch(**moved)


class BatchMaker:
    """Draws batches.

    Args:
        demos: The demonstrations.
        config: Names, vocabulary and scene scale of the policy.
        statistics: Normalisation.
        counterfactual: Share of eligible frames that get another instruction.
        shift_px: Largest random image shift per camera, in pixels. Length C.
    """

    def __init__(
        self,
        demos: DemoSet,
        config: NanoConfig,
        statistics: NanoStatistics,
        *,
        counterfactual: float,
        shift_px: tuple[int, ...],
    ) -> None:
        self._demos = demos
        self._counterfactual = counterfactual
        self._shift_px = shift_px
        self._tokenizer = config.tokenizer()
        self._state = statistics.state
        self._actions = action_processor(
            config.state_names, config.action_names, config.action_kinds, statistics.action
        )
        self._scene_mean = np.array(config.scene_mean, np.float32)
        self._scene_scale = config.scene_scale
        self.object_words = tuple(name.split()[0] for name in config.object_names)
        self.bin_words = tuple(name.split()[0] for name in config.bin_names)
        self._colours = frozenset(self.object_words + self.bin_words)
        held = demos.split % VALIDATION_EVERY == 0
        self.training = np.flatnonzero(~held)
        self.validation = np.flatnonzero(held & demos.arrays["eligible"])

    def draw(self, size: int, seed: tuple[int, ...]) -> Batch:
        """Draw a training batch of ``size`` frames."""
        rng = np.random.default_rng(seed)
        index = self.training[rng.integers(len(self.training), size=size)]
        target = self._demos.arrays["target"][index].astype(np.int64)
        eligible = self._demos.arrays["eligible"][index]
        other = eligible & (rng.random(size) < self._counterfactual)
        target[other] = self._other_targets(rng, target[other])
        images, moved = shifted(rng, self._demos.frames(index).images, self._shift_px)
        pixels = self._demos.arrays["pixels"][index] + moved[:, :, None]
        return self._batch(index, images, target, ~other, self._texts(rng, target), pixels)

    def draw_blind(self, size: int, seed: tuple[int, ...]) -> Batch:
        """Draw a training batch of ``size`` frames without their images."""
        rng = np.random.default_rng(seed)
        index = self.training[rng.integers(len(self.training), size=size)]
        target = self._demos.arrays["target"][index].astype(np.int64)
        return self._batch(index, None, target, np.ones(size, bool), self._texts(rng, target))

    def _texts(self, rng: np.random.Generator, target: npt.NDArray[np.int64]) -> list[str]:
        """A disturbed instruction for each target. Shape (B, 2)."""
        texts = []
        for row in target:
            text = instruction(rng, self.object_words[row[0]], self.bin_words[row[1]])
            texts.append(disturbed(rng, text, self._colours))
        return texts

    def probe(self, index: npt.NDArray[np.int64], *, held_out: bool, seed: int) -> Batch:
        """Frames as they are, each with a random undisturbed instruction."""
        rng = np.random.default_rng(seed)
        limits = (len(self.object_words), len(self.bin_words))
        target = rng.integers((0, 0), limits, size=(len(index), 2))
        texts = [
            instruction(rng, self.object_words[o], self.bin_words[b], held_out=held_out)
            for o, b in target
        ]
        images = self._demos.frames(index).images
        return self._batch(index, images, target, np.zeros(len(index), bool), texts)

    def _other_targets(
        self, rng: np.random.Generator, target: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Any target but the given one, equally likely."""
        bins = len(self.bin_words)
        count = len(self.object_words) * bins
        flat = target[:, 0] * bins + target[:, 1]
        flat = (flat + rng.integers(1, count, size=len(flat))) % count
        return np.stack([flat // bins, flat % bins], axis=1)

    def _batch(
        self,
        index: npt.NDArray[np.int64],
        images: npt.NDArray[np.uint8] | None,
        target: npt.NDArray[np.int64],
        follows: npt.NDArray[np.bool_],
        texts: list[str],
        pixels: npt.NDArray[np.float32] | None = None,
    ) -> Batch:
        arrays = self._demos.arrays
        state = arrays["state"][index]
        position, yaw = np.split(arrays["scene"][index], [3], axis=-1)
        position = (position - self._scene_mean) / self._scene_scale
        turn = YAW_SYMMETRY * yaw
        scene = np.concatenate([position, np.sin(turn), np.cos(turn)], axis=-1)
        return Batch(
            images=None if images is None else torch.from_numpy(images),
            state=torch.from_numpy(self._state.apply(state)),
            words=torch.from_numpy(self._tokenizer.encode_many(texts)),
            actions=torch.from_numpy(self._actions.apply(arrays["actions"][index], state)),
            follows=torch.from_numpy(follows),
            object_index=torch.from_numpy(target[:, 0].copy()),
            bin_index=torch.from_numpy(target[:, 1].copy()),
            scene=torch.from_numpy(scene),
            pixels=torch.from_numpy(arrays["pixels"][index] if pixels is None else pixels),
        )


def shifted(
    rng: np.random.Generator, images: npt.NDArray[np.uint8], shift_px: tuple[int, ...]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Shift every image by a random number of pixels, repeating the border.

    Args:
        rng: Source of chance.
        images: Shape (B, C, H, W, 3).
        shift_px: Largest shift per camera. Length C.

    Returns:
        Images, Shape (B, C, H, W, 3), and how far their content moved, in units of half the image
        (x, y), Shape (B, C, 2).
    """
    batch, cameras, height, width, _ = images.shape
    out = np.empty_like(images)
    moved = np.empty((batch, cameras, 2), np.float32)
    for camera in range(cameras):
        most = shift_px[camera]
        border = ((0, 0), (most, most), (most, most), (0, 0))
        padded = np.pad(images[:, camera], border, mode="edge")
        top, left = rng.integers(0, 2 * most + 1, size=(2, batch))
        for row in range(batch):
            y, x = top[row], left[row]
            out[row, camera] = padded[row, y : y + height, x : x + width]
        moved[:, camera, 0] = (most - left) * 2.0 / width
        moved[:, camera, 1] = (most - top) * 2.0 / height
    return out, moved
