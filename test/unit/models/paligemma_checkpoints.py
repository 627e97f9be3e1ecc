"""A tiny PaliGemma of transformers, and pi0-FAST checkpoints made of it, for tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from lerobot_checkpoints import random_request
from safetensors.torch import save_file
from torch import nn

from vla_ros.policy.checkpoints.declaration import declaration_of
from vla_ros.policy.families import load_family
from vla_ros.policy.families.pi0_fast import Pi0FastPolicy
from vla_ros.policy.models.fast import FastTokenizer, fit_fast
from vla_ros.policy.protocol import Policy, PolicyRequest

GOLDEN = Path(__file__).parents[2] / "golden"
WORDS = 640
"""The tiny text tokenizer's 304, 128 that are skipped, and room for FAST tokens between them."""
HORIZON, ACTIONS = 6, 3
NAMES = [f"joint{i}" for i in range(ACTIONS)]
VISION = {"width": 32, "layers": 2, "heads": 4, "hidden": 64, "patch": 14, "image": 28}
LANGUAGE = {
    "width": 32,
    "layers": 3,
    "heads": 4,
    "kv_heads": 1,
    "head_size": 16,
    "hidden": 64,
}


def tiny_paligemma() -> nn.Module:
    """Random weights, large enough for an error in any of them to show."""
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration  # takes seconds

    torch.manual_seed(2)
    config = PaliGemmaConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": VISION["width"],
            "num_hidden_layers": VISION["layers"],
            "num_attention_heads": VISION["heads"],
            "intermediate_size": VISION["hidden"],
            "patch_size": VISION["patch"],
            "image_size": VISION["image"],
            "projection_dim": LANGUAGE["width"],
            "vision_use_head": False,
            "hidden_act": "gelu_pytorch_tanh",
        },
        text_config={
            "model_type": "gemma",
            "hidden_size": LANGUAGE["width"],
            "num_hidden_layers": LANGUAGE["layers"],
            "intermediate_size": LANGUAGE["hidden"],
            "num_attention_heads": LANGUAGE["heads"],
            "num_key_value_heads": LANGUAGE["kv_heads"],
            "head_dim": LANGUAGE["head_size"],
            "vocab_size": WORDS,
            "hidden_activation": "gelu_pytorch_tanh",
        },
        image_token_index=WORDS - 1,
        projection_dim=LANGUAGE["width"],
        vocab_size=WORDS,
    )
    model = PaliGemmaForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(3)
    for name, weight in model.named_parameters():
        scale = 0.2 if weight.ndim == 1 else 1.0 / weight[0].numel() ** 0.5
        scale *= 4.0 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
        noise = torch.randn(weight.shape, generator=generator) * scale
        weight.data = 1.0 + noise if "layer_norm" in name and "weight" in name else noise
    return model


def smooth_chunks(count: int) -> np.ndarray:
    """Shape (count, HORIZON, ACTIONS), about -1 to 1."""
    rng = np.random.default_rng(0)
    rows = np.linspace(0.0, 2.0, HORIZON)[:, None]
    phase, size = rng.uniform(0, 6, (2, count, 1, ACTIONS))
    return 0.15 * size * np.sin(rows + phase)


def tiny_fast() -> FastTokenizer:
    """Fitted on smooth chunks; few enough tokens for the tiny word table."""
    return fit_fast(smooth_chunks(200), vocabulary=160)


def write_pi0_fast(folder: Path, model: nn.Module) -> Path:
    """A folder as LeRobot's `save_pretrained` leaves it, and the declaration beside it."""
    folder.mkdir(parents=True)
    image = {"type": "VISUAL", "shape": [3, 24, 32]}
    vector = {"type": "STATE", "shape": [ACTIONS]}
    modes = {"VISUAL": "IDENTITY", "STATE": "QUANTILES", "ACTION": "QUANTILES"}
    config = {
        "type": "pi0_fast",
        "input_features": {
            "observation.images.front": image,
            "observation.images.wrist": image,
            "observation.state": vector,
        },
        "output_features": {"action": {**vector, "type": "ACTION"}},
        "paligemma_variant": "gemma_2b",
        "chunk_size": HORIZON,
        "max_state_dim": 8,
        "max_decoding_steps": 60,
        "tokenizer_max_length": 120,
        "fast_skip_tokens": 128,
        "temperature": 0.0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    prefix = "model.paligemma_with_expert.paligemma."
    weights = {
        prefix + name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if name != "model.language_model.embed_tokens.weight"  # the same as the head's
    }
    save_file(weights, folder / "model.safetensors")
    low, high = torch.full((ACTIONS,), -2.0), torch.full((ACTIONS,), 2.0)
    statistics = {
        f"{feature}.{name}": values.clone()
        for feature in ("observation.state", "action")
        for name, values in (("q01", low), ("q99", high))
    }
    steps = {
        "pre": (
            ["rename_observations_processor", "to_batch_processor"],
            "normalizer",
            [
                "pi0_fast_prepare_state_tokenizer_processor_step",
                "tokenizer_processor",
                "action_tokenizer_processor",
                "device_processor",
            ],
        ),
        "post": ([], "unnormalizer", ["device_processor"]),
    }
    for place, (before, step, behind) in steps.items():
        file = f"policy_{place}processor_step_{len(before)}_{step}_processor.safetensors"
        middle = {
            "registry_name": f"{step}_processor",
            "config": {"eps": 1e-8, "norm_map": modes},
            "state_file": file,
        }
        entries = [{"registry_name": name, "config": {}} for name in before]
        entries += [middle, *({"registry_name": name, "config": {}} for name in behind)]
        (folder / f"policy_{place}processor.json").write_text(json.dumps({"steps": entries}))
        save_file(statistics, folder / file)
    shutil.copytree(GOLDEN / "pi0" / "checkpoint" / "tokenizer", folder / "tokenizer")
    tiny_fast().save(folder / "fast")
    sizes = {"vision": VISION, "language": LANGUAGE, "words": WORDS}
    declared = {
        "state_names": NAMES,
        "action_names": NAMES,
        "rate_hz": 20,
        "options": {"sizes": sizes},
    }
    (folder / "vla.yaml").write_text(json.dumps(declared))
    return folder


def taught_by_heart(folder: Path) -> tuple[Pi0FastPolicy, np.ndarray]:
    """A policy that has learned what to do at `two_requests`, and these two chunks."""
    # Not `load_policy`: what is made ready for this machine's processor cannot learn.
    policy = load_family(folder, declaration_of(folder), threads=None)
    assert isinstance(policy, Pi0FastPolicy)
    chunks = smooth_chunks(2)
    speech, lessons = policy._speech, []
    for request, chunk in zip(two_requests(policy), chunks, strict=True):
        images = [request.observation.images[key] for key in policy.spec.camera_keys]
        normal = policy._processors.state.apply(request.observation.state).astype(np.float32)
        answer = torch.tensor([[speech.begin, *speech.write(chunk)]])
        seen = policy.inputs(images, normal, request.prompt)
        lessons.append((seen._replace(words=seen.words[:, :-1]), answer))
    parameters = list(policy._model.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(parameters, lr=4e-3)
    for _ in range(80):
        loss = sum(policy._model.loss(*lesson) for lesson in lessons)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return policy, policy._processors.action.invert(chunks)


def two_requests(policy: Policy) -> tuple[PolicyRequest, PolicyRequest]:
    """They differ in all but the prompt."""
    first, second = (random_request(policy.spec, seed=seed) for seed in (1, 2))
    second.observation.state[:] = -first.observation.state
    return first, second
