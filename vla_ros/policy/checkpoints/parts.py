"""Where the weights of our shared modules come from in Hugging Face's names of the same layers."""

from __future__ import annotations

from vla_ros.policy.checkpoints.weights import Part


def mixture_parts(width: int) -> dict[str, Part]:
    """pi0's and SmolVLA's mixture of action and time: one matrix over both, here one for each."""
    mixture = "action_time_mlp_in"
    return {
        "action_mix.weight": Part((f"{mixture}.weight",), columns=slice(0, width)),
        "time_in.weight": Part((f"{mixture}.weight",), columns=slice(width, 2 * width)),
        "time_in.bias": Part((f"{mixture}.bias",)),
        **linear_parts("time_out", "action_time_mlp_out"),
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
        **linear_parts(f"{ours}patch", f"{source}embeddings.patch_embedding"),
        f"{ours}position": Part((f"{source}embeddings.position_embedding.weight",)),
        **linear_parts(f"{ours}norm", f"{source}post_layernorm"),
    }
    for layer in range(layers):
        block, theirs = f"{ours}blocks.{layer}.", f"{source}encoder.layers.{layer}."
        for kind in ("weight", "bias"):
            names = tuple(f"{theirs}self_attn.{part}_proj.{kind}" for part in "qkv")
            out[f"{block}attention.qkv.{kind}"] = Part(names)
        out |= linear_parts(f"{block}attention.out", f"{theirs}self_attn.out_proj")
        out |= linear_parts(f"{block}norm1", f"{theirs}layer_norm1")
        out |= linear_parts(f"{block}norm2", f"{theirs}layer_norm2")
        out |= linear_parts(f"{block}feed_forward.0", f"{theirs}mlp.fc1")
        out |= linear_parts(f"{block}feed_forward.2", f"{theirs}mlp.fc2")
    return out


def linear_parts(ours: str, source: str) -> dict[str, Part]:
    """Weight and bias of a linear layer, a convolution or a layer norm."""
    return {f"{ours}.{kind}": Part((f"{source}.{kind}",)) for kind in ("weight", "bias")}
