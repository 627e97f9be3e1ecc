"""pi0 and pi0.5 checkpoints, from LeRobot or openpi, behind the Policy protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from vla_ros.policy.checkpoints.declaration import Declaration, DeclarationError
from vla_ros.policy.checkpoints.layouts import CheckpointFolder, read_folder
from vla_ros.policy.checkpoints.vla_loading import (
    declared_sizes,
    flow_policy,
    load_weights,
    make_processors,
    make_spec,
    setting,
)
from vla_ros.policy.checkpoints.vla_options import Pi0Options, VlaOptions, options_as
from vla_ros.policy.checkpoints.weights import TensorFile
from vla_ros.policy.families.pi0_weights import UNUSED, canonical, pi0_parts
from vla_ros.policy.models.gated import GatedSizes
from vla_ros.policy.models.pi0 import Pi0, Pi0Sizes
from vla_ros.policy.models.siglip import SiglipSizes
from vla_ros.policy.processors.letterbox import Letterbox
from vla_ros.policy.processors.prompt import LinePrompt, StatePrompt
from vla_ros.policy.protocol import Policy

TOKENIZER = "google/paligemma-3b-pt-224"
WORDS = 257_152

GEMMA = {
    "gemma_2b": GatedSizes(
        width=2048, layers=18, heads=8, kv_heads=1, head_size=256, hidden=16_384
    ),
    "gemma_300m": GatedSizes(
        width=1024, layers=18, heads=8, kv_heads=1, head_size=256, hidden=4096
    ),
}
"""Sizes by the names that config.json uses."""

SO400M = SiglipSizes(width=1152, layers=27, heads=16, hidden=4304, patch=14, image=224)


def gemma_sizes(
    part: Literal["language", "expert"], variant: str, options: VlaOptions
) -> GatedSizes:
    """Sizes by the name in config.json, with the declared ones over them.

    Raises:
        DeclarationError: The variant, or a name of a size, is unknown.
    """
    if variant not in GEMMA:
        raise DeclarationError(f"config.json: the variant '{variant}' is none of {sorted(GEMMA)}")
    return declared_sizes(part, GEMMA[variant], options)


def pi0_sizes(folder: CheckpointFolder, options: Pi0Options, *, adaptive: bool) -> Pi0Sizes:
    """Sizes by the names in config.json, with the declared ones over them.

    Raises:
        DeclarationError: A name of a size or variant is unknown.
    """
    language = setting(folder, "paligemma_variant", default="gemma_2b")
    expert = setting(folder, "action_expert_variant", default="gemma_300m")
    return Pi0Sizes(
        vision=declared_sizes("vision", SO400M, options),
        language=gemma_sizes("language", language, options),
        expert=gemma_sizes("expert", expert, options),
        words=options.sizes.get("words", WORDS),
        state_dim=int(setting(folder, "max_state_dim", "action_dim")),
        action_dim=int(setting(folder, "max_action_dim", "action_dim")),
        horizon=int(setting(folder, "chunk_size", "action_horizon")),
        adaptive=adaptive,
    )


def load(folder: Path, declaration: Declaration, *, threads: int | None) -> Policy:
    """Load a pi0 or pi0.5 checkpoint.

    Raises:
        VlaError: It is incomplete, damaged, of another size, or not declared well enough.
    """
    options = options_as(Pi0Options, declaration)
    # The weights themselves say which of the two it is; openpi's config.json does not.
    names = {canonical(name) for name in TensorFile(folder / "model.safetensors").names}
    adaptive = "time_mlp_in.weight" in names
    files = read_folder(folder, quantiles=adaptive, asset=options.asset)
    sizes = pi0_sizes(files, options, adaptive=adaptive)
    spec = make_spec("pi05" if adaptive else "pi0", files, declaration, horizon=sizes.horizon)
    openpi, old_quirks = files.layout == "openpi", options.behaviour == "lerobot_0_4"
    network = load_weights(
        lambda: Pi0(sizes),
        files,
        canonical,
        lambda have: pi0_parts(sizes, have),
        lambda have: set(UNUSED),
        options,
    )
    prompt: Any = LinePrompt(clean=openpi)
    if adaptive:
        prompt = StatePrompt(sizes.state_dim if old_quirks else 0)
    processors = make_processors(
        files,
        declaration,
        options,
        spec,
        letterbox=Letterbox(
            height=sizes.vision.image,
            width=sizes.vision.image,
            resize=options.resize or ("pil" if openpi else "torch"),
            border=-3.0 if old_quirks else -1.0,
        ),
        prompt=prompt,
        action_dim=network.action_dim,
        state_dim=sizes.state_dim,
        words=sizes.words,
        advantage=options.advantage,
        tokenizer=TOKENIZER,
        longest=int(setting(files, "tokenizer_max_length", default=200 if adaptive else 48)),
    )
    return flow_policy(files, options, spec, network, processors, threads=threads)
