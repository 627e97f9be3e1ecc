"""Names of pi0's and pi0.5's weights in published files, and where each goes.

openpi's PyTorch names are the reference; LeRobot puts ``model.`` before them, and LeRobot before
0.4 had another order of the language model's prefixes.
"""

from __future__ import annotations

import re

from vla_ros.policy.models.pi0 import Pi0Sizes
from vla_ros.policy.weights import Part

_VLM = "paligemma_with_expert.paligemma.model."
_EXPERT = "paligemma_with_expert.gemma_expert.model."
_HEAD = "paligemma_with_expert.paligemma.lm_head.weight"
_TABLE = f"{_VLM}language_model.embed_tokens.weight"

UNUSED = (
    "paligemma_with_expert.gemma_expert.lm_head.weight",
    "paligemma_with_expert.gemma_expert.model.embed_tokens.weight",
    f"{_VLM}language_model.norm.weight",
    _HEAD,
)
"""What only text generation needs: word table and head of the expert, the prefix's last norm."""

_OLD = (
    (r"\.paligemma\.language_model\.lm_head\.", ".paligemma.lm_head."),
    (r"\.paligemma\.language_model\.model\.", ".paligemma.model.language_model."),
    (r"\.paligemma\.(vision_tower|multi_modal_projector)\.", r".paligemma.model.\1."),
)


def canonical(name: str) -> str:
    """The name openpi gives to a tensor that LeRobot calls ``name``."""
    name = name.removeprefix("model.")
    for pattern, new in _OLD:
        name = re.sub(pattern, new, name)
    return name


def pi0_parts(sizes: Pi0Sizes, have: set[str]) -> dict[str, Part]:
    """For each tensor of `Pi0`, where it comes from, in openpi's names.

    Args:
        sizes: Sizes of the network.
        have: openpi's names of the tensors in the file: the word table is stored once, under one
            of two names.
    """
    out = {
        "words.weight": Part((_TABLE if _TABLE in have else _HEAD,)),
        **_linear("project", f"{_VLM}multi_modal_projector.linear"),
        **siglip_parts("vision.", f"{_VLM}vision_tower.vision_model.", sizes.vision.layers),
        **_linear("action_in", "action_in_proj"),
        **_linear("action_out", "action_out_proj"),
    }
    for layer in range(sizes.language.layers):
        source = f"{_VLM}language_model.layers.{layer}."
        out |= gated_parts(f"language.{layer}.", source, plus=1.0)
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
        return out | _linear("time_in", "time_mlp_in") | _linear("time_out", "time_mlp_out")
    out["norm.weight"] = Part((f"{_EXPERT}norm.weight",), plus=1.0)
    return out | _linear("state", "state_proj") | mixture_parts(sizes.expert.width)


def mixture_parts(width: int) -> dict[str, Part]:
    """pi0's and SmolVLA's mixture of action and time: one matrix over both, here one for each."""
    mixture = "action_time_mlp_in"
    return {
        "action_mix.weight": Part((f"{mixture}.weight",), columns=slice(0, width)),
        "time_in.weight": Part((f"{mixture}.weight",), columns=slice(width, 2 * width)),
        "time_in.bias": Part((f"{mixture}.bias",)),
        **_linear("time_out", "action_time_mlp_out"),
    }


def gated_parts(
    ours: str, source: str, *, plus: float, norms: bool = True, cross: bool = False
) -> dict[str, Part]:
    """One `GatedBlock` from one Gemma or Llama layer.

    Args:
        ours: Prefix of our names.
        source: Prefix of the file's names.
        plus: What to add to the norms' weights.
        norms: The norms have weights.
        cross: It attends over the prefix alone.
    """
    attention, mlp = f"{source}self_attn.", f"{source}mlp."
    out = {
        f"{ours}attention.out.weight": Part((f"{attention}o_proj.weight",)),
        f"{ours}feed_forward.gate_up.weight": Part(
            (f"{mlp}gate_proj.weight", f"{mlp}up_proj.weight")
        ),
        f"{ours}feed_forward.down.weight": Part((f"{mlp}down_proj.weight",)),
    }
    if norms:
        out[f"{ours}norm1.weight"] = Part((f"{source}input_layernorm.weight",), plus=plus)
        out[f"{ours}norm2.weight"] = Part((f"{source}post_attention_layernorm.weight",), plus=plus)
    if cross:
        for name, theirs in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")):
            out[f"{ours}attention.{name}.weight"] = Part((f"{attention}{theirs}.weight",))
    else:
        names = tuple(f"{attention}{kind}_proj.weight" for kind in "qkv")
        out[f"{ours}attention.qkv.weight"] = Part(names)
    return out


def siglip_parts(ours: str, source: str, layers: int) -> dict[str, Part]:
    """`Siglip` from a SigLIP vision model's names."""
    out = {
        **_linear(f"{ours}patch", f"{source}embeddings.patch_embedding"),
        f"{ours}position": Part((f"{source}embeddings.position_embedding.weight",)),
        **_linear(f"{ours}norm", f"{source}post_layernorm"),
    }
    for layer in range(layers):
        block, theirs = f"{ours}blocks.{layer}.", f"{source}encoder.layers.{layer}."
        for kind in ("weight", "bias"):
            names = tuple(f"{theirs}self_attn.{part}_proj.{kind}" for part in "qkv")
            out[f"{block}attention.qkv.{kind}"] = Part(names)
        out |= _linear(f"{block}attention.out", f"{theirs}self_attn.out_proj")
        out |= _linear(f"{block}norm1", f"{theirs}layer_norm1")
        out |= _linear(f"{block}norm2", f"{theirs}layer_norm2")
        out |= _linear(f"{block}feed_forward.0", f"{theirs}mlp.fc1")
        out |= _linear(f"{block}feed_forward.2", f"{theirs}mlp.fc2")
    return out


def _linear(ours: str, source: str) -> dict[str, Part]:
    return {f"{ours}.{kind}": Part((f"{source}.{kind}",)) for kind in ("weight", "bias")}
