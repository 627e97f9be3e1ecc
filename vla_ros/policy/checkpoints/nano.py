"""nano checkpoints: a folder in LeRobot's layout, written whole and read strictly.

    config.json                                  NanoConfig, ``"type": "nano"``
    model.safetensors                            weights, float16
    policy_preprocessor.json, ..._step_3_normalizer_processor.safetensors
    policy_postprocessor.json, ..._step_0_unnormalizer_processor.safetensors
    README.md                                    model card

Reading refuses what does not fit: a missing, unknown, wrongly shaped or non-finite tensor, a
truncated file, missing statistics, an unknown configuration key.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vla_ros.policy.checkpoints.nano_config import (
    NORM_MAP,
    CheckpointError,
    NanoConfig,
    config_from_json,
    config_to_json,
    features_of,
)
from vla_ros.policy.checkpoints.weights import model_id
from vla_ros.policy.models.nano import Nano
from vla_ros.policy.processors import ActionProcessor, MeanStd, RelativeActions, SignBinary

_PRE_STATE = "policy_preprocessor_step_3_normalizer_processor.safetensors"
_POST_STATE = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"


@dataclass(frozen=True, kw_only=True)
class NanoStatistics:
    """Mean and standard deviation; action statistics per row and element.

    Attributes:
        state: Shape (S,).
        action: Relative actions; mean 0, std 1 at binary elements. Shape (T, A).
    """

    state: MeanStd
    action: MeanStd


@dataclass(frozen=True, kw_only=True)
class NanoCheckpoint:
    """A checkpoint in memory.

    Attributes:
        config: Configuration.
        statistics: Normalisation.
        weights: float32 weights of ``Nano(config.sizes)``.
        model_id: Short hash of the weights file.
    """

    config: NanoConfig
    statistics: NanoStatistics
    weights: Mapping[str, Tensor]
    model_id: str


def action_processor(
    state_names: tuple[str, ...],
    action_names: tuple[str, ...],
    action_kinds: tuple[str, ...],
    statistics: MeanStd,
) -> ActionProcessor:
    """Build the action steps from names and kinds."""
    moved = tuple(i for i, kind in enumerate(action_kinds) if kind == "position")
    return ActionProcessor(
        RelativeActions(moved, tuple(state_names.index(action_names[i]) for i in moved)),
        statistics,
        SignBinary(tuple(i for i, kind in enumerate(action_kinds) if kind == "binary")),
    )


def save_nano(
    folder: Path | str,
    config: NanoConfig,
    statistics: NanoStatistics,
    weights: Mapping[str, Tensor],
    *,
    card: str,
) -> None:
    """Write a checkpoint; the folder appears, or is replaced, as a whole.

    Args:
        folder: Where to.
        config: Configuration.
        statistics: Normalisation.
        weights: State dictionary of ``Nano(config.sizes)``; stored as float16.
        card: Text of README.md.

    Raises:
        CheckpointError: A weight is not finite in float16.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    half = {name: tensor.detach().cpu().half().contiguous() for name, tensor in weights.items()}
    _refuse_not_finite(half, "the weights as float16")
    save_file(half, partial / "model.safetensors", metadata={"format": "pt"})
    _write_json(partial / "config.json", config_to_json(config))
    features = features_of(config)
    normalise = {"eps": 1e-8, "features": features, "norm_map": NORM_MAP}
    _write_json(
        partial / "policy_preprocessor.json",
        {
            "name": "policy_preprocessor",
            "steps": [
                {"registry_name": "to_batch_processor", "config": {}},
                {
                    "registry_name": "word_tokenizer_processor",
                    "config": {"max_words": config.max_words, "task_key": "task"},
                },
                {
                    "registry_name": "relative_actions_processor",
                    "config": {"exclude": _binary_names(config)},
                },
                {
                    "registry_name": "normalizer_processor",
                    "config": normalise,
                    "state_file": _PRE_STATE,
                },
            ],
        },
    )
    _write_json(
        partial / "policy_postprocessor.json",
        {
            "name": "policy_postprocessor",
            "steps": [
                {
                    "registry_name": "unnormalizer_processor",
                    "config": {**normalise, "features": {"action": features["action"]}},
                    "state_file": _POST_STATE,
                },
                {
                    "registry_name": "absolute_actions_processor",
                    "config": {"exclude": _binary_names(config)},
                },
            ],
        },
    )
    stats = {
        "observation.state.mean": torch.from_numpy(np.array(statistics.state.mean)),
        "observation.state.std": torch.from_numpy(np.array(statistics.state.std)),
        "action.mean": torch.from_numpy(np.array(statistics.action.mean)),
        "action.std": torch.from_numpy(np.array(statistics.action.std)),
    }
    save_file(stats, partial / _PRE_STATE)
    save_file({k: v for k, v in stats.items() if k.startswith("action.")}, partial / _POST_STATE)
    (partial / "README.md").write_text(card)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(partial, folder)


def load_nano(folder: Path | str) -> NanoCheckpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: Something is missing, damaged, unknown or does not fit.
    """
    folder = Path(folder)
    config = config_from_json(_read_json(folder / "config.json"))
    sizes = config.sizes
    stats = _read_tensors(folder / _PRE_STATE)
    post = _read_tensors(folder / _POST_STATE)
    shapes = {"observation.state": (sizes.state_dim,), "action": (sizes.horizon, sizes.action_dim)}
    for feature, shape in shapes.items():
        for stat in ("mean", "std"):
            _expect_shape(stats, f"{feature}.{stat}", shape, folder / _PRE_STATE)
    for name in ("action.mean", "action.std"):
        if name not in post or not torch.equal(post[name], stats[name]):
            raise CheckpointError(
                f"'{folder / _POST_STATE}': '{name}' is missing or differs from the "
                "preprocessor's; the folder mixes two checkpoints. Copy it again."
            )
    path = folder / "model.safetensors"
    weights = _read_tensors(path)
    with torch.device("meta"):
        expected = Nano(sizes).state_dict()
    missing = sorted(expected.keys() - weights.keys())
    unknown = sorted(weights.keys() - expected.keys())
    if missing or unknown:
        raise CheckpointError(
            f"'{path}' does not fit config.json: missing {missing[:5]}, unknown {unknown[:5]} "
            f"({len(missing)} and {len(unknown)} in all)."
        )
    for name, tensor in expected.items():
        _expect_shape(weights, name, tuple(tensor.shape), path)
    _refuse_not_finite(weights, f"'{path}'")

    def pair(feature: str) -> MeanStd:
        mean, std = (stats[f"{feature}.{stat}"].float().numpy() for stat in ("mean", "std"))
        return MeanStd(mean, std)

    return NanoCheckpoint(
        config=config,
        statistics=NanoStatistics(state=pair("observation.state"), action=pair("action")),
        weights={name: tensor.float() for name, tensor in weights.items()},
        model_id=model_id(path),
    )


def _binary_names(config: NanoConfig) -> list[str]:
    pairs = zip(config.action_names, config.action_kinds, strict=True)
    return [name for name, kind in pairs if kind == "binary"]


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(
            f"No checkpoint at '{path.parent}': {path.name} is missing."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"'{path}' is not JSON: {error}.") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"'{path}': expected an object, got {type(values).__name__}.")
    return values


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"'{path}' is missing. Copy the whole folder again.") from error
    except SafetensorError as error:
        raise CheckpointError(
            f"'{path}' is damaged or truncated ({error}). Copy it again."
        ) from error
    return tensors


def _expect_shape(
    tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...], path: Path
) -> None:
    got = tuple(tensors[name].shape) if name in tensors else "nothing"
    if got != shape:
        raise CheckpointError(f"'{path}': '{name}' expected shape {shape}, got {got}.")


def _refuse_not_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{where}: '{name}' holds NaN or infinity.")


def as_float32(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """A read-only float32 copy."""
    out = np.array(values, np.float32)
    out.setflags(write=False)
    return out
