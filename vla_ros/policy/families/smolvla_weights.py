"""Names of SmolVLA's weights in LeRobot's files, and where each goes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import torch
from torch import Tensor

from vla_ros.policy.checkpoints.parts import gated_parts, linear_parts, mixture_parts, siglip_parts
from vla_ros.policy.checkpoints.weights import Part
from vla_ros.policy.models.smolvla import SmolVlaSizes

_VLM = "vlm_with_expert.vlm.model."
_EXPERT = "vlm_with_expert.lm_expert."
_LAYER = re.compile(re.escape(f"{_VLM}text_model.layers.") + r"(\d+)\.")


def smolvla_unused(names: Iterable[str], layers: int) -> set[str]:
    """Those of the file's tensors (without ``model.``) that only text generation needs."""
    unused = {"vlm_with_expert.vlm.lm_head.weight", f"{_VLM}text_model.norm.weight"}
    unused.add(f"{_EXPERT}embed_tokens.weight")
    for name in names:
        layer = _LAYER.match(name)
        if layer is not None and int(layer.group(1)) >= layers:
            unused.add(name)
    return unused


def smolvla_parts(sizes: SmolVlaSizes) -> dict[str, Part]:
    """For each tensor of `SmolVla`, where it comes from, in LeRobot's names without ``model.``."""
    out = {
        "words.weight": Part((f"{_VLM}text_model.embed_tokens.weight",)),
        "project.weight": Part((f"{_VLM}connector.modality_projection.proj.weight",)),
        "norm.weight": Part((f"{_EXPERT}norm.weight",)),
        **siglip_parts("vision.", f"{_VLM}vision_model.", sizes.vision.layers),
        **linear_parts("state", "state_proj"),
        **linear_parts("action_in", "action_in_proj"),
        **linear_parts("action_out", "action_out_proj"),
        **mixture_parts(sizes.expert.width),
    }
    for layer in range(sizes.language.layers):
        source = f"{_VLM}text_model.layers.{layer}."
        out |= gated_parts(f"language.{layer}.", source, plus=0.0)
    for layer in range(sizes.expert.layers):
        cross = layer % sizes.self_every != 0
        source = f"{_EXPERT}layers.{layer}."
        out |= gated_parts(f"expert.{layer}.", source, plus=0.0, cross=cross)
    return out


def shift_positions(table: Tensor) -> Tensor:
    """A position table as transformers 4.55 to 4.57 read it in float32.

    They rounded every patch's row and column but the first down by one (transformers issue
    41190). A policy trained with those versions in float32 wants its table read the same way.

    Args:
        table: One position per patch. Shape (patches, width).
    """
    edge = math.isqrt(len(table))
    index = (torch.arange(edge) - 1).clamp(min=0)
    return table[(index[:, None] * edge + index).flatten()]
