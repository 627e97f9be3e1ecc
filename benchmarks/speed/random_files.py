"""Files of weights and inputs: the real sizes, random values, LeRobot's names.

Every matrix keeps the size of what it multiplies, so that nothing fades or explodes on its way
through the layers and a chunk's values depend on all of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.speed.case import Case
from vla_ros.policy.checkpoints.weights import Part
from vla_ros.policy.families import pi0, smolvla
from vla_ros.policy.families.pi0_weights import pi0_parts
from vla_ros.policy.families.smolvla_weights import smolvla_parts
from vla_ros.policy.models.pi0 import Pi0, Pi0Sizes
from vla_ros.policy.models.prefix_expert import PrefixExpert
from vla_ros.policy.models.smolvla import SmolVla, SmolVlaSizes

POOL = (1 << 22) + 15  # random values that all tensors take theirs from


def network_of(case: Case) -> tuple[PrefixExpert[Any], dict[str, Part]]:
    """The network on the current device, and where each of its tensors comes from."""
    expert: dict[str, Any] = {"layers": case.language_layers}
    if case.family == "pi0":
        sizes = Pi0Sizes(
            vision=replace(pi0.SO400M, layers=case.vision_layers),
            language=replace(pi0.GEMMA["gemma_2b"], layers=case.language_layers),
            expert=replace(pi0.GEMMA["gemma_300m"], layers=case.language_layers),
            words=pi0.WORDS,
            state_dim=32,
            action_dim=32,
            horizon=50,
            adaptive=False,
        )
        return Pi0(sizes), pi0_parts(sizes, set())
    language = replace(smolvla.LANGUAGE, layers=case.language_layers)
    small = SmolVlaSizes(
        vision=replace(smolvla.VISION, layers=case.vision_layers),
        fold=4,
        language=language,
        expert=replace(language, width=720, hidden=2048, **expert),
        self_every=2,
        words=smolvla.WORDS,
        state_dim=32,
        action_dim=32,
        horizon=50,
    )
    return SmolVla(small), smolvla_parts(small)


def file_shapes(case: Case) -> dict[str, tuple[int, ...]]:
    """Shapes of the file's tensors by name."""
    with torch.device("meta"):
        return shapes_of(*network_of(case))


def shapes_of(network: PrefixExpert[Any], parts: Mapping[str, Part]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that a network's parts come from, by their names in the file."""
    sizes: Any = network.sizes
    narrow = sizes.language.kv_heads * sizes.language.head_size
    shapes: dict[str, tuple[int, ...]] = {}
    for ours, tensor in network.state_dict().items():
        part, rest = parts[ours], tuple(tensor.shape[1:])
        if part.columns is not None and tensor.ndim == 2:
            rest = (2 * tensor.shape[1],)
        rows = [tensor.shape[0] // len(part.names)] * len(part.names)
        if len(rows) == 3 and not ours.startswith("vision."):
            rows = [tensor.shape[0] - 2 * narrow, narrow, narrow]
        shapes |= {name: (count, *rest) for name, count in zip(part.names, rows, strict=True)}
    return shapes


def _values(name: str, shape: tuple[int, ...], pool: Tensor, start: int) -> Tensor:
    count = math.prod(shape)
    raw = pool.repeat(2 + count // POOL)[start : start + count].view(shape)
    if "norm" in name:
        one = name.endswith("weight") and ("vision" in name or "vlm_with_expert" in name)
        return raw * 0.1 + float(one)
    return raw / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else raw * 0.1


def write_weights(case: Case, path: Path) -> None:
    """Write a safetensors file in bfloat16, one tensor at a time."""
    pool = torch.randn(POOL, generator=torch.Generator().manual_seed(case.seed))
    shapes = file_shapes(case)
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[f"model.{name}"] = {
            "dtype": "BF16",
            "shape": list(shape),
            "data_offsets": [end, end + size],
        }
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for number, (name, shape) in enumerate(shapes.items()):
            values = _values(name, shape, pool, number * 1_000_003 % POOL).bfloat16()
            file.write(values.view(torch.int16).numpy().tobytes())


def write_inputs(case: Case, path: Path) -> None:
    """Write what both sides are given, preprocessed."""
    generator = torch.Generator().manual_seed(case.seed + 1)
    images = torch.rand(case.cameras, 3, case.image, case.image, generator=generator) * 2 - 1
    words = torch.randint(10, 40_000, (1, case.padded_words), generator=generator)
    values: Mapping[str, Tensor] = {
        "images": images,
        "words": words,
        "state": torch.randn(1, 32, generator=generator),
        "noise": torch.randn(1, 50, 32, generator=generator),
    }
    save_file(dict(values), path)
