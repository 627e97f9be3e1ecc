"""SmolVLA checkpoints from LeRobot behind the Policy protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vla_ros.policy.checkpoints.declaration import Declaration
from vla_ros.policy.checkpoints.layouts import CheckpointFolder, LayoutError, read_folder
from vla_ros.policy.checkpoints.vla_loading import (
    declared_sizes,
    flow_policy,
    load_weights,
    make_processors,
    make_spec,
    setting,
)
from vla_ros.policy.checkpoints.vla_options import SmolVlaOptions, options_as
from vla_ros.policy.families.smolvla_weights import shift_positions, smolvla_parts, smolvla_unused
from vla_ros.policy.models.gated import GatedSizes
from vla_ros.policy.models.siglip import SiglipSizes
from vla_ros.policy.models.smolvla import SmolVla, SmolVlaSizes
from vla_ros.policy.processors.letterbox import Letterbox
from vla_ros.policy.processors.prompt import LinePrompt
from vla_ros.policy.protocol import Policy

TOKENIZER = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"
WORDS = 49_280

VISION = SiglipSizes(width=768, layers=12, heads=12, hidden=3072, patch=16, image=512)
LANGUAGE = GatedSizes(
    width=960,
    layers=16,
    heads=15,
    kv_heads=5,
    head_size=64,
    hidden=2560,
    activation="silu",
    eps=1e-5,
)
"""Of SmolVLM2-500M; SmolVLA keeps as many of its layers as config.json says."""

_REFUSED = {
    "add_image_special_tokens": False,
    "adapt_to_pi_aloha": False,
    "use_delta_joint_actions_aloha": False,
    "attention_mode": "cross_attn",
    "num_expert_layers": -1,
    "prefix_length": -1,
}
"""Settings of config.json that only have one value here."""


def smolvla_sizes(folder: CheckpointFolder, options: SmolVlaOptions) -> SmolVlaSizes:
    """Sizes from config.json, with the declared ones over them.

    Raises:
        LayoutError: config.json asks for what is not there.
        DeclarationError: A name of a size is unknown.
    """
    for name, value in _REFUSED.items():
        got = folder.config.get(name, value)
        if got != value and not (name == "num_expert_layers" and got == 0):
            raise LayoutError(
                f"'{folder.folder}': {name}={got} is not supported, expected {value}; serve this "
                "checkpoint from LeRobot itself"
            )
    layers = int(setting(folder, "num_vlm_layers", default=16))
    image = int(setting(folder, "resize_imgs_with_padding")[0])
    language = declared_sizes("language", replace(LANGUAGE, layers=layers), options)
    width = int(language.width * float(setting(folder, "expert_width_multiplier")))
    expert = replace(language, width=width, hidden=_expert_hidden(width))
    return SmolVlaSizes(
        vision=declared_sizes("vision", replace(VISION, image=image), options),
        fold=int(options.sizes.get("fold", 4)),
        language=language,
        expert=declared_sizes("expert", expert, options),
        self_every=int(setting(folder, "self_attn_every_n_layers", default=2)),
        words=int(options.sizes.get("words", WORDS)),
        state_dim=int(setting(folder, "max_state_dim")),
        action_dim=int(setting(folder, "max_action_dim")),
        horizon=int(setting(folder, "chunk_size")),
    )


def _expert_hidden(width: int) -> int:
    """Two thirds of four widths, rounded up to a multiple of 256."""
    return -(-(int(2 * width / 3) * 4) // 256) * 256


def load(folder: Path, declaration: Declaration, *, threads: int | None) -> Policy:
    """Load a SmolVLA checkpoint.

    Raises:
        VlaError: It is incomplete, damaged, of another size, or not declared well enough.
    """
    options = options_as(SmolVlaOptions, declaration)
    files = read_folder(folder, quantiles=False)
    sizes = smolvla_sizes(files, options)
    spec = make_spec("smolvla", files, declaration, horizon=sizes.horizon)
    network = load_weights(
        lambda: SmolVla(sizes),
        files,
        lambda name: name.removeprefix("model."),
        lambda have: smolvla_parts(sizes),
        lambda have: smolvla_unused(have, sizes.language.layers),
        options,
    )
    if options.shifted_positions:
        network.vision.position.data = shift_positions(network.vision.position.data)
    processors = make_processors(
        files,
        declaration,
        options,
        spec,
        letterbox=Letterbox(
            height=sizes.vision.image,
            width=sizes.vision.image,
            resize=options.resize or "torch",
            corner=True,
        ),
        prompt=LinePrompt(),
        action_dim=network.action_dim,
        state_dim=sizes.state_dim,
        words=sizes.words,
        advantage=options.advantage,
        tokenizer=TOKENIZER,
        longest=int(setting(files, "tokenizer_max_length", default=48)),
    )
    return flow_policy(files, options, spec, network, processors, threads=threads)
