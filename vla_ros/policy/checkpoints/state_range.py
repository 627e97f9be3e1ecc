"""Where the state was in a checkpoint's training data, and whether the robot speaks that unit.

Read from the statistics beside the weights; neither weights nor torch are loaded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.declaration import (
    Declaration,
    declaration_of,
    declares_checkpoint,
    read_declaration,
)

Floats = npt.NDArray[np.float64]

FAR = 8.0
"""Deviations from the mean at which something is wrong: a unit, a zero, or a pose never shown."""
_DEGREE = math.pi / 180.0
_NORMAL = {("q01", "q99"): 4.653, ("q10", "q90"): 2.563, ("min", "max"): 6.0}
"""Two statistics, and how many deviations of a normal distribution lie between them."""


class NoStatistics(VlaError):
    """A checkpoint that does not say where its state was."""


@dataclass(frozen=True, kw_only=True)
class StateRange:
    """The state in the training data, by the robot file's names.

    Attributes:
        names: Of the elements.
        mean: Shape (S,).
        std: Shape (S,).
    """

    names: tuple[str, ...]
    mean: Floats
    std: Floats

    def problems(
        self, names: Sequence[str], state: Floats, limits: Mapping[str, tuple[float, float]]
    ) -> list[str]:
        """What does not fit between the robot's state now and the training data, in words.

        Args:
            names: Of the robot's state.
            state: In SI units. Shape (S,).
            limits: Of the joints, [rad] or [m], where known.
        """
        now = dict(zip(names, state.tolist(), strict=True))
        found = []
        for name, mean, std in zip(self.names, self.mean, self.std, strict=True):
            if name not in now:
                found.append(f"{name}: in the training data, but not in the robot's state")
                continue
            words = _problem(now[name], float(mean), max(float(std), 1e-6), limits.get(name))
            if words:
                found.append(
                    f"{name} is at {now[name]:.3f}, in the training data {mean:.3f} ± {std:.3f}: "
                    + words
                )
        return found


def _problem(value: float, mean: float, std: float, limits: tuple[float, float] | None) -> str:
    """Why a value and a range of the training data are not of one unit; empty where they are."""
    if limits is not None:
        middle, half = 0.5 * (limits[0] + limits[1]), 0.5 * (limits[1] - limits[0])
        if abs(mean - middle) > 1.5 * half or std > 1.1 * half:
            return (
                f"beyond the joint's limits, {limits[0]:.2f} to {limits[1]:.2f} rad or m, so the "
                "data have another unit (degrees?) than the robot; "
                "take a checkpoint that was trained in SI units"
            )
    off = abs(value - mean) / std
    if off <= FAR:
        return ""
    outside = limits is not None and not limits[0] <= value <= limits[1]
    if outside and abs(value * _DEGREE - mean) / std <= FAR:
        return "the driver seems to speak degrees; set `unit: deg` in the robot file"
    return (
        f"{off:.0f} deviations off; check the joint's unit (degrees for radians?), sign and zero, "
        "or move the robot to where the demonstrations began"
    )


def state_range(source: str) -> StateRange:
    """The range of a checkpoint.

    Args:
        source: Its folder, or the YAML file that declares it.

    Raises:
        NoStatistics: It is neither, or has no statistics, or no names for them.
        VlaError: The declaration cannot be read.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        folder, declaration = path, declaration_of(path)
    elif path.suffix in (".yaml", ".yml") and declares_checkpoint(path):
        declaration = read_declaration(path)
        folder = path.parent / Path(declaration.checkpoint or ".").expanduser()
    else:
        raise NoStatistics(f"'{source}' is no checkpoint here, so its statistics are not known")
    statistics = _statistics(folder, declaration)
    mean, std = _mean_and_deviation(statistics)
    names = declaration.state_names or tuple(_json(folder / "config.json").get("state_names", ()))
    if mean is None or std is None or not names or len(mean) < len(names):
        raise NoStatistics(
            f"'{folder}' has statistics {sorted(statistics) or 'of no state'} and "
            f"{len(names)} state names; expected mean and deviation of each. Declare state_names "
            "in vla.yaml, and copy the statistics' files, too"
        )
    return StateRange(names=names, mean=mean[: len(names)], std=std[: len(names)])


def _mean_and_deviation(statistics: Mapping[str, Floats]) -> tuple[Floats | None, Floats | None]:
    if {"mean", "std"} <= statistics.keys():
        return statistics["mean"], statistics["std"]
    for (low, high), deviations in _NORMAL.items():
        if {low, high} <= statistics.keys():
            spread = statistics[high] - statistics[low]
            return 0.5 * (statistics[high] + statistics[low]), spread / deviations
    return None, None


def _statistics(folder: Path, declaration: Declaration) -> dict[str, Floats]:
    """The state's statistics by name, from whichever place the layout keeps them."""
    if (folder / "policy_preprocessor.json").is_file():
        steps = _json(folder / "policy_preprocessor.json").get("steps", [])
        files = [s["state_file"] for s in steps if s.get("registry_name") == "normalizer_processor"]
        return _tensors(folder / files[0], "observation.state.") if files else {}
    assets = folder / "assets"
    if assets.is_dir():
        asset = declaration.options.get("asset", "*")
        found = sorted(assets.glob(f"{asset}/norm_stats.json")) or sorted(
            assets.rglob("norm_stats.json")
        )
        values = _json(found[0]) if len(found) == 1 else {}
        state = values.get("norm_stats", values).get("state", {})
        return {k: np.asarray(v, np.float64) for k, v in state.items() if v is not None}
    return _tensors(folder / "model.safetensors", "normalize_inputs.buffer_observation_state.")


def _tensors(path: Path, prefix: str) -> dict[str, Floats]:
    if not path.is_file():
        return {}
    with safe_open(path, framework="np") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        return {
            name.removeprefix(prefix): file.get_tensor(name).astype(np.float64) for name in names
        }


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NoStatistics(f"'{path}' cannot be read: {error}") from error
    return values if isinstance(values, dict) else {}
