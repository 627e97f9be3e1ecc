"""Names of pi0's, pi0.5's and pi0-FAST's weights in published files, and where each goes.

openpi's PyTorch names are the reference; LeRobot puts ``model.`` before them, and LeRobot before
0.4 had another order of the language model's prefixes.
"""

from __future__ import annotations

import re

from vla_ros.policy.checkpoints.parts import gated_parts, linear_parts, mixture_parts, siglip_parts
from vla_ros.policy.checkpoints.weights import Part
from vla_ros.policy.models.pi0 import Pi0Sizes

_VLM = "paligemma_with_expert.paligemma.model."
_EXPERT = "paligemma_with_expert.gemma_expert.model."
HEAD = "paligemma_with_expert.paligemma.lm_head.weight"
TABLE = f"{_VLM}language_model.embed_tokens.weight"
LAST_NORM = f"{_VLM}language_model.norm.weight"

UNUSED = (
    "paligemma_with_expert.gemma_expert.lm_head.weight",
    "paligemma_with_expert.gemma_expert.model.embed_tokens.weight",
    LAST_NORM,
    HEAD,
)
"""What only text generation needs: word table and head of the expert, the prefix's last norm."""

_OLD = (
    (r"\.paligemma\.language_model\.lm_head\.", ".paligemma.lm_head."),
    (r"\.paligemma\.language_model\.model\.", ".paligemma.model.language_model."),
    (r"\.paligemma\.(vision_tower|multi_modal_projector)\.", r".paligemma.model.\1."),
    (r"\.vision_tower\.(embeddings|encoder|post_layernorm)\.", r".vision_tower.vision_model.\1."),
)


def canonical(name: str) -> str:
    """The name openpi gives to a tensor that LeRobot, or transformers from 5 on, call ``name``."""
    name = name.removeprefix("model.")
    for pattern, new in _OLD:
        name = re.sub(pattern, new, name)
    return name


def paligemma_parts(vision_layers: int, layers: int, have: set[str]) -> dict[str, Part]:
    """For each tensor of the language model and its eyes, where it comes from, in openpi's names.

    Args:
        vision_layers: Layers of the image encoder.
        layers: Layers of the language model.
        have: openpi's names of the tensors in the file: the word table is stored once, under one
            of two names.
    """
    out = {
        "words.weight": Part((TABLE if TABLE in have else HEAD,)),
        **linear_parts("project", f"{_VLM}multi_modal_projector.linear"),
        **siglip_parts("vision.", f"{_VLM}vision_tower.vision_model.", vision_layers),
    }
    for layer in range(layers):
        source = f"{_VLM}language_model.layers.{layer}."
        out |= gated_parts(f"language.{layer}.", source, plus=1.0)
    return out


def pi0_parts(sizes: Pi0Sizes, have: set[str]) -> dict[str, Part]:
    """For each tensor of `Pi0`, where it comes from, in openpi's names.

    Args:
        sizes: Sizes of the network.
        have: As in `paligemma_parts`.
    """
    out = {
        **paligemma_parts(sizes.vision.layers, sizes.language.layers, have),
        **linear_parts("action_in", "action_in_proj"),
        **linear_parts("action_out", "action_out_proj"),
    }
    for layer in range(sizes.expert.layers):
        source = f"{_EXPERT}layers.{layer}."
        out |= gated_parts(f"expert.{layer}.", source, plus=1.0, norms=not sizes.adaptive)
    if sizes.adaptive:
        dense = [
            f"{_EXPERT}layers.{layer}.{norm}.dense"
            for layer in range(sizes.expert.layers)
            for norm in ("input_layernorm", "post_attention_layernorm")
        ]
        dense.append(f"{_EXPERT}norm.dense")
        for kind in ("weight", "bias"):
            out[f"modulation.{kind}"] = Part(tuple(f"{name}.{kind}" for name in dense))
        return (
            out | linear_parts("time_in", "time_mlp_in") | linear_parts("time_out", "time_mlp_out")
        )
    out["norm.weight"] = Part((f"{_EXPERT}norm.weight",), plus=1.0)
    return out | linear_parts("state", "state_proj") | mixture_parts(sizes.expert.width)
