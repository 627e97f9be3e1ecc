"""The three layouts in which pi0, pi0.5, pi0-FAST and SmolVLA checkpoints are published.

lerobot   config.json, model.safetensors, policy_{pre,post}processor.json with statistics
          beside them (LeRobot from 0.4 on)
old       config.json, model.safetensors with the statistics inside (LeRobot before 0.4)
openpi    config.json, model.safetensors, assets/<name>/norm_stats.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.weights import TensorFile
from vla_ros.policy.processors import Identity, MeanStd, Normaliser, ProcessorError, Range

Layout = Literal["lerobot", "old", "openpi"]
Feature = Literal["state", "action"]
Statistics = Mapping[str, npt.NDArray[np.float32]]

IMAGE_PREFIX = "observation.images."
_KEYS: dict[Feature, str] = {"state": "observation.state", "action": "action"}

_STEPS = {
    "rename_observations_processor",
    "to_batch_processor",
    "pi0_new_line_processor",
    "smolvla_new_line_processor",
    "pi05_prepare_state_tokenizer_processor_step",
    "pi0_fast_prepare_state_tokenizer_processor_step",
    "action_tokenizer_processor",
    "tokenizer_processor",
    "device_processor",
    "normalizer_processor",
    "unnormalizer_processor",
}
"""LeRobot's steps whose work our processors do; any other changes the meaning of the numbers."""

RANGES = {"MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90")}
"""LeRobot's ways of normalising to -1 .. 1 -> the statistics they need."""

_OPENPI_EPS = 1e-6


class LayoutError(VlaError):
    """A folder that is no complete checkpoint."""


@dataclass(frozen=True, kw_only=True)
class CheckpointFolder:
    """What a checkpoint's folder holds, besides the meaning of its weights' names.

    Attributes:
        folder: The folder.
        layout: Which of the three it is.
        config: config.json.
        tensors: model.safetensors.
        statistics: Of state and action, by name (mean, std, q01, ...).
        norm_map: How each is normalised, in LeRobot's words.
        eps: The file's own small number.
        renamed: The recording's camera keys by the checkpoint's, where they differ.
        inert: Tensors that hold no weights (statistics inside the weights' file).
    """

    folder: Path
    layout: Layout
    config: Mapping[str, Any]
    tensors: TensorFile
    statistics: Mapping[Feature, Statistics]
    norm_map: Mapping[Feature, str]
    eps: float
    renamed: Mapping[str, str]
    inert: frozenset[str] = frozenset()

    def cameras(self) -> dict[str, tuple[int, int]]:
        """Height and width by camera key, in the network's order; empty cameras left out."""
        features = self.config.get("input_features", {})
        return {
            key.removeprefix(IMAGE_PREFIX): (int(value["shape"][1]), int(value["shape"][2]))
            for key, value in features.items()
            if value.get("type") == "VISUAL" and ".empty_camera_" not in key
        }

    def dim(self, feature: Feature) -> int | None:
        """Elements of the state or action; None where the folder does not say (openpi)."""
        both = {**self.config.get("input_features", {}), **self.config.get("output_features", {})}
        value = both.get(_KEYS[feature])
        return None if value is None else int(value["shape"][0])

    def normaliser(self, feature: Feature, dim: int) -> Normaliser:
        """The transform of a feature's first ``dim`` elements.

        Raises:
            LayoutError: The statistics are missing, too short, or those of no data.
        """
        mode = self.norm_map[feature]
        if mode == "IDENTITY":
            return Identity()
        names = ("mean", "std") if mode == "MEAN_STD" else RANGES.get(mode)
        if names is None:
            raise LayoutError(f"'{self.folder}': unknown normalisation '{mode}' of the {feature}")
        first, second = (self._statistic(feature, name, dim) for name in names)
        try:
            if mode == "MEAN_STD":
                if (first == 0).all() and (second == 1).all():
                    raise ProcessorError("the mean is 0 and the deviation 1 everywhere")
                back = self.eps if self.layout == "openpi" else 0.0
                return MeanStd(first, second, self.eps, back)
            return Range(first, second, self.eps if self.layout == "openpi" else 0.0)
        except ProcessorError as error:
            raise LayoutError(
                f"'{self.folder}': the {feature}'s statistics cannot be those of the training "
                f"data: {error} Is this a base model, not yet trained on a robot?"
            ) from error

    def _statistic(self, feature: Feature, name: str, dim: int) -> npt.NDArray[np.float32]:
        values = self.statistics.get(feature, {}).get(name)
        if values is None or values.ndim != 1 or len(values) < dim:
            got = "nothing" if values is None else f"shape {values.shape}"
            raise LayoutError(
                f"'{self.folder}': '{name}' of the {feature} expected {dim} numbers, got {got}; "
                f"its normalisation is {self.norm_map[feature]}. Copy the statistics' files, too; "
                "a base model has none until it is trained on a robot"
            )
        return np.ascontiguousarray(values[:dim])


def read_folder(folder: Path, *, quantiles: bool, asset: str | None = None) -> CheckpointFolder:
    """Read everything but the weights.

    Args:
        folder: The checkpoint.
        quantiles: openpi normalises this kind of model by quantiles; LeRobot's files say it.
        asset: Which of openpi's assets, where there are several.

    Raises:
        LayoutError: Something is missing, unknown or of two checkpoints.
        WeightsError: The weights' file is damaged.
    """
    config = read_json(folder / "config.json")
    tensors = TensorFile(folder / "model.safetensors")
    if (folder / "policy_preprocessor.json").is_file():
        return _lerobot(folder, config, tensors)
    if "type" in config:
        return _old_lerobot(folder, config, tensors)
    mode = "QUANTILES" if quantiles else "MEAN_STD"
    return CheckpointFolder(
        folder=folder,
        layout="openpi",
        config=config,
        tensors=tensors,
        statistics=_openpi_statistics(folder, asset),
        norm_map={"state": mode, "action": mode},
        eps=_OPENPI_EPS,
        renamed={},
    )


def _lerobot(folder: Path, config: Mapping[str, Any], tensors: TensorFile) -> CheckpointFolder:
    before = _steps(folder / "policy_preprocessor.json")
    after = _steps(folder / "policy_postprocessor.json")
    normalise, undo = before.get("normalizer_processor"), after.get("unnormalizer_processor")
    if normalise is None or undo is None:
        raise LayoutError(f"'{folder}': the processors' files name no normaliser; copy it again")
    statistics = _statistics_of(folder, normalise)
    for name, values in _statistics_of(folder, undo).get("action", {}).items():
        before_it = statistics.get("action", {}).get(name)
        if before_it is None or not np.array_equal(values, before_it):
            raise LayoutError(
                f"'{folder}': 'action.{name}' differs between preprocessor and postprocessor; the "
                "folder mixes two checkpoints. Copy it again"
            )
    renamed = before.get("rename_observations_processor", {}).get("config", {})
    return CheckpointFolder(
        folder=folder,
        layout="lerobot",
        config=config,
        tensors=tensors,
        statistics=statistics,
        norm_map=_norm_map(folder, normalise["config"].get("norm_map", {})),
        eps=float(normalise["config"].get("eps", 1e-8)),
        renamed={
            new.removeprefix(IMAGE_PREFIX): old.removeprefix(IMAGE_PREFIX)
            for old, new in renamed.get("rename_map", {}).items()
        },
    )


def _old_lerobot(folder: Path, config: Mapping[str, Any], tensors: TensorFile) -> CheckpointFolder:
    inert = frozenset(name for name in tensors.names if "normalize_" in name.partition(".")[0])
    places: dict[Feature, str] = {
        "state": "normalize_inputs.buffer_observation_state.",
        "action": "unnormalize_outputs.buffer_action.",
    }
    statistics = {
        feature: {
            name.removeprefix(place): tensors.read(name).float().numpy()
            for name in inert
            if name.startswith(place)
        }
        for feature, place in places.items()
    }
    return CheckpointFolder(
        folder=folder,
        layout="old",
        config=config,
        tensors=tensors,
        statistics=statistics,
        norm_map=_norm_map(folder, config.get("normalization_mapping", {})),
        eps=1e-8,
        renamed={},
        inert=inert,
    )


def _openpi_statistics(folder: Path, asset: str | None) -> dict[Feature, Statistics]:
    root = folder / "assets"
    found = sorted(root.rglob("norm_stats.json"))
    if asset is not None:
        found = [path for path in found if path.parent.relative_to(root).as_posix() == asset]
    if len(found) != 1:
        names = [path.parent.relative_to(root).as_posix() for path in found]
        raise LayoutError(
            f"'{root}': expected one norm_stats.json, got {names or 'none'}; copy the assets, too, "
            "and name the one to use under options: {asset: ...} in vla.yaml"
        )
    values = read_json(found[0])
    values = values.get("norm_stats", values)
    keys: dict[Feature, str] = {"state": "state", "action": "actions"}
    return {
        feature: {
            name: np.asarray(numbers, np.float32)
            for name, numbers in values.get(key, {}).items()
            if numbers is not None
        }
        for feature, key in keys.items()
    }


def _steps(path: Path) -> dict[str, dict[str, Any]]:
    """The steps of a processor's file by name.

    Raises:
        LayoutError: A step is unknown: it would change the numbers in a way we do not know.
    """
    steps = {step.get("registry_name"): step for step in read_json(path).get("steps", [])}
    unknown = sorted(str(name) for name in steps.keys() - _STEPS)
    if unknown:
        raise LayoutError(
            f"'{path}' has the steps {unknown}, which are not known here; serve this checkpoint "
            "from LeRobot itself"
        )
    return steps


def _statistics_of(folder: Path, step: Mapping[str, Any]) -> dict[Feature, Statistics]:
    name = step.get("state_file")
    if name is None:
        return {}
    file = TensorFile(folder / name)
    return {
        feature: {
            stat.removeprefix(f"{key}."): file.read(stat).float().numpy()
            for stat in file.names
            if stat.startswith(f"{key}.")
        }
        for feature, key in _KEYS.items()
    }


def _norm_map(folder: Path, values: Mapping[str, str]) -> dict[Feature, str]:
    if values.get("VISUAL", "IDENTITY") != "IDENTITY":
        raise LayoutError(f"'{folder}': images normalised by {values['VISUAL']} are not supported")
    if not {"STATE", "ACTION"} <= values.keys():
        raise LayoutError(
            f"'{folder}': the normalisation of STATE and ACTION is not given, got {dict(values)}"
        )
    return {"state": values["STATE"], "action": values["ACTION"]}


def read_json(path: Path) -> dict[str, Any]:
    """An object from a file.

    Raises:
        LayoutError: It is missing, damaged or no object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LayoutError(f"'{path}' is missing; copy the whole folder again") from error
    except (OSError, ValueError) as error:
        raise LayoutError(f"'{path}' cannot be read ({error}); copy it again") from error
    if not isinstance(values, dict):
        raise LayoutError(f"'{path}': expected an object, got {type(values).__name__}")
    return values
