"""Names of GR00T N1.5's action head in published files, and where each tensor goes."""

from __future__ import annotations

from pathlib import Path

import torch

from vla_ros.policy.checkpoints.parts import linear_parts
from vla_ros.policy.checkpoints.weights import Part, TensorFile, fill
from vla_ros.policy.models.groot import GrootHead, GrootSizes

_PLACE = "action_head."


def load_groot_head(path: Path, sizes: GrootSizes) -> GrootHead:
    """The head with the weights of a safetensors file; a backbone in the same file is left out.

    NVIDIA's names begin with ``action_head.``, LeRobot's with ``_groot_model.action_head.``.

    Raises:
        WeightsError: The file is damaged or its weights do not fit.
    """
    file = TensorFile(path)
    with torch.device("meta"):
        head = GrootHead(sizes)
    found = {name.partition(_PLACE)[0] + _PLACE for name in file.names if _PLACE in name}
    place = min(found, default=_PLACE)
    backbone = {name for name in file.names if not name.startswith(place)}
    fill(head, _parts(head, place), file, ignored=backbone)
    return head


def _parts(head: GrootHead, place: str) -> dict[str, Part]:
    sizes = head.sizes
    out = linear_parts("backbone_norm", f"{place}vlln")
    for layer in range(sizes.backbone_layers):
        block = f"backbone_blocks.{layer}."
        theirs = f"{place}vl_self_attention.transformer_blocks.{layer}."
        out |= _block(f"{block}", theirs)
        out |= _stacked(f"{block}attention.qkv", f"{theirs}attn1", "qkv")
        out |= linear_parts(f"{block}attention.out", f"{theirs}attn1.to_out.0")
        out |= linear_parts(f"{block}norm1", f"{theirs}norm1")
        out |= linear_parts(f"{block}norm2", f"{theirs}norm3")
    out |= linear_parts("model.time.0", f"{place}model.timestep_encoder.timestep_embedder.linear_1")
    out |= linear_parts("model.time.2", f"{place}model.timestep_encoder.timestep_embedder.linear_2")
    for layer in range(sizes.layers):
        block, theirs = f"model.blocks.{layer}.", f"{place}model.transformer_blocks.{layer}."
        out |= _block(block, theirs)
        out |= _stacked(f"{block}query", f"{theirs}attn1", "q")
        out |= _stacked(f"{block}key_value", f"{theirs}attn1", "kv")
        out |= linear_parts(f"{block}out", f"{theirs}attn1.to_out.0")
        out |= linear_parts(f"{block}modulation", f"{theirs}norm1.linear")
    out |= linear_parts("model.modulation", f"{place}model.proj_out_1")
    out |= linear_parts("model.project", f"{place}model.proj_out_2")
    same = ("state_encoder.", "action_encoder.", "action_decoder.", "future_", "position_")
    names = (name for name in head.state_dict() if name.startswith(same))
    return out | {name: Part((place + name,)) for name in names}


def _block(ours: str, theirs: str) -> dict[str, Part]:
    return {
        **linear_parts(f"{ours}feed_forward.0", f"{theirs}ff.net.0.proj"),
        **linear_parts(f"{ours}feed_forward.2", f"{theirs}ff.net.2"),
    }


def _stacked(ours: str, theirs: str, kinds: str) -> dict[str, Part]:
    return {
        f"{ours}.{what}": Part(tuple(f"{theirs}.to_{kind}.{what}" for kind in kinds))
        for what in ("weight", "bias")
    }
