"""What one comparison is about, as both sides read it. Needs the standard library alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Dtype = Literal["float32", "bfloat16", "int8"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and what it is asked.

    Attributes:
        family: ``smolvla`` or ``pi0``.
        dtype: Of the weights in memory: ``float32``, ``bfloat16`` or, of ours, ``int8``.
        share: Every ``share``-th part of the real number of layers; 1: all of them.
        vision_layers: Layers of the image encoder.
        language_layers: Layers of the language model, and of the expert.
        image: Edge of an image [px].
        cameras: Number of cameras.
        words: Words of the prompt.
        padded_words: What LeRobot pads them to.
        threads: CPU threads.
        seed: Of the weights and inputs.
    """

    family: str
    dtype: Dtype
    share: int
    vision_layers: int
    language_layers: int
    image: int
    cameras: int = 2
    words: int
    padded_words: int
    threads: int = 1
    seed: int = 7

    @property
    def name(self) -> str:
        """For the table."""
        return self.family if self.share == 1 else f"{self.family}, 1/{self.share} of its layers"

    def write(self, folder: Path) -> None:
        """Put it into a folder."""
        (folder / "case.json").write_text(json.dumps(asdict(self)))


def read(folder: Path) -> Case:
    """The case of a folder."""
    return Case(**json.loads((folder / "case.json").read_text()))


def smolvla(dtype: Dtype, share: int) -> Case:
    """SmolVLA on SmolVLM2-500M: 12 and 16 layers, images of 512 x 512."""
    layers = 16 // share // 2 * 2  # self-attention and cross-attention take turns
    return Case(
        family="smolvla",
        dtype=dtype,
        share=share,
        vision_layers=12 // share,
        language_layers=layers,
        image=512,
        words=24,
        padded_words=24,
    )


def pi0(dtype: Dtype, share: int) -> Case:
    """pi0 on PaliGemma: 27 and 18 layers, images of 224 x 224."""
    return Case(
        family="pi0",
        dtype=dtype,
        share=share,
        vision_layers=27 // share,
        language_layers=18 // share,
        image=224,
        words=20,
        padded_words=48,
    )
