"""A checkpoint folder as LeRobot writes it: configuration, steps and statistics.

From 0.4 on the statistics lie beside two files that list the processing steps:

    config.json
    model.safetensors
    policy_preprocessor.json,  policy_preprocessor_step_3_normalizer_processor.safetensors
    policy_postprocessor.json, policy_postprocessor_step_0_unnormalizer_processor.safetensors

Before, they were buffers among the weights (``normalize_inputs.buffer_observation_state.mean``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.layouts import RANGES, read_json
from vla_ros.policy.checkpoints.weights import TensorFile
from vla_ros.policy.processors import Identity, MeanStd, Normaliser, ProcessorError, Range

IMAGE = "observation.images."
STATE = "observation.state"
ACTION = "action"

_EPS = 1e-8
_PLAIN = {
    "rename_observations_processor",
    "to_batch_processor",
    "device_processor",
    "normalizer_processor",
    "unnormalizer_processor",
}
"""Steps that are ours too, or that only move tensors."""


class LeRobotError(VlaError):
    """A LeRobot checkpoint that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class LeRobotFolder:
    """What a folder says besides the weights.

    Attributes:
        path: The folder.
        config: config.json.
        modes: Feature type (``VISUAL``, ``STATE``, ``ACTION``) -> how it is normalised.
        statistics: ``feature.statistic`` -> float32 array.
        buffers: Names of the tensors among the weights that are statistics.
    """

    path: Path
    config: Mapping[str, Any]
    modes: Mapping[str, str]
    statistics: Mapping[str, npt.NDArray[np.float32]]
    buffers: frozenset[str]

    @property
    def weights(self) -> TensorFile:
        """The weights' file."""
        return TensorFile(self.path / "model.safetensors")

    @property
    def cameras(self) -> tuple[str, ...]:
        """Camera keys without ``observation.images.``, in the network's order."""
        return tuple(name.removeprefix(IMAGE) for name in self._inputs() if self._visual(name))

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of all its images.

        Raises:
            LeRobotError: There are no images, or of several sizes.
        """
        shapes = {tuple(self._inputs()[IMAGE + key]["shape"]) for key in self.cameras}
        if len(shapes) != 1 or len(shape := shapes.pop()) != 3 or shape[0] != 3:
            raise self.error(f"expected images of one size (3, H, W), got {sorted(shapes)}")
        return shape[1], shape[2]

    def dim(self, feature: str) -> int:
        """Length of the state or of the action.

        Raises:
            LeRobotError: It is no vector, or not there.
        """
        features = {**self._inputs(), **self.get("output_features", dict)}
        shape = features.get(feature, {}).get("shape")
        if not isinstance(shape, list) or len(shape) != 1:
            raise self.error(f"expected a vector '{feature}', got shape {shape}")
        return int(shape[0])

    def get(self, key: str, kind: type[Any] | tuple[type[Any], ...]) -> Any:
        """A value of config.json.

        Raises:
            LeRobotError: It is missing or of another type.
        """
        value = self.config.get(key)
        if not isinstance(value, kind):
            raise self.error(f"'{key}' of config.json: expected {kind}, got {value!r}")
        return value

    def one_of(self, key: str, known: tuple[object, ...]) -> Any:
        """A value of config.json that is one of a few.

        Raises:
            LeRobotError: It is missing or another.
        """
        value = self.config.get(key)
        if value not in known:
            raise self.error(f"'{key}' is {value!r}, expected one of {known}")
        return value

    def normaliser(self, feature: str) -> Normaliser:
        """How a feature is normalised, with its statistics.

        Raises:
            LeRobotError: The way is unknown, or statistics are missing or unusable.
        """
        kind = {STATE: "STATE", ACTION: "ACTION"}.get(feature, "VISUAL")
        mode = self.modes.get(kind, "IDENTITY")
        try:
            if mode == "IDENTITY":
                return Identity()
            if mode == "MEAN_STD":
                mean, std = self._of(feature, "mean"), self._of(feature, "std")
                if (mean == 0).all() and (std == 1).all():
                    raise ProcessorError("the mean is 0 and the deviation 1 everywhere")
                return MeanStd(mean, std, eps=_EPS)
            if mode in RANGES:
                low, high = RANGES[mode]
                return Range(self._of(feature, low), self._of(feature, high))
        except ProcessorError as error:
            raise self.error(f"statistics of '{feature}': {error}") from error
        raise self.error(f"'{feature}' is normalised by {mode!r}, which is unknown")

    def error(self, text: str) -> LeRobotError:
        """An error about this folder."""
        return LeRobotError(f"'{self.path}': {text}")

    def _inputs(self) -> dict[str, Any]:
        inputs: dict[str, Any] = self.get("input_features", dict)
        strange = sorted(name for name in inputs if name != STATE and not self._visual(name))
        if strange:
            raise self.error(f"inputs {strange} are none a robot file can give; it needs them")
        return inputs

    def _visual(self, name: str) -> bool:
        return name.startswith(IMAGE)

    def _of(self, feature: str, statistic: str) -> npt.NDArray[np.float32]:
        values = self.statistics.get(f"{feature}.{statistic}")
        if values is None:
            raise self.error(
                f"the statistic '{feature}.{statistic}' is missing; save the checkpoint again with "
                "its dataset's statistics"
            )
        shape = (self.dim(feature),) if not self._visual(feature) else (3, 1, 1)
        if values.shape != shape:
            raise self.error(
                f"the statistic '{feature}.{statistic}' has shape {values.shape}, expected {shape}"
            )
        return values


def read_lerobot(path: Path) -> LeRobotFolder:
    """Read all of a folder but the weights.

    Raises:
        LayoutError: A file is missing or damaged.
        LeRobotError: It holds a step that we do not have, or the two
            halves of the processing disagree.
        WeightsError: A file of statistics is missing or damaged.
    """
    config = read_json(path / "config.json")
    if not (path / "policy_preprocessor.json").exists():
        statistics = _buffers(TensorFile(path / "model.safetensors"))
        return LeRobotFolder(
            path=path,
            config=config,
            modes=config.get("normalization_mapping") or {},
            statistics={name: values for name, (_, values) in statistics.items()},
            buffers=frozenset(source for sources, _ in statistics.values() for source in sources),
        )
    modes, statistics_in = _steps(path, "policy_preprocessor.json", "normalizer_processor")
    modes_out, statistics_out = _steps(path, "policy_postprocessor.json", "unnormalizer_processor")
    folder = LeRobotFolder(
        path=path, config=config, modes=modes, statistics=statistics_in, buffers=frozenset()
    )
    if modes_out.get("ACTION") != modes.get("ACTION"):
        raise folder.error("pre- and postprocessor normalise actions differently")
    for name, values in statistics_in.items():
        there = statistics_out.get(name)
        if name.startswith(f"{ACTION}.") and (there is None or not np.array_equal(there, values)):
            raise folder.error(
                f"'{name}' of the pre- and the postprocessor differ; the folder mixes two "
                "checkpoints, copy it again"
            )
    return folder


def _steps(
    path: Path, name: str, normalizer: str
) -> tuple[dict[str, str], dict[str, npt.NDArray[np.float32]]]:
    steps = {step["registry_name"]: step for step in read_json(path / name).get("steps", [])}
    unknown = sorted(steps.keys() - _PLAIN)
    if unknown or normalizer not in steps:
        raise LeRobotError(
            f"'{path / name}': expected the step {normalizer} and no other but "
            f"{sorted(_PLAIN)}, got {sorted(steps)}; the steps {unknown} would be left out"
        )
    step = steps[normalizer]
    if "state_file" not in step:
        raise LeRobotError(f"'{path / name}': {normalizer} has no statistics ('state_file')")
    file = TensorFile(path / step["state_file"])
    return step["config"]["norm_map"], {name: _array(file, name) for name in file.names}


def _buffers(file: TensorFile) -> dict[str, tuple[tuple[str, ...], npt.NDArray[np.float32]]]:
    """Statistics among the weights: ours -> the file's names, and the values."""
    out: dict[str, tuple[tuple[str, ...], npt.NDArray[np.float32]]] = {}
    for source in sorted(file.names):
        head, _, rest = source.partition(".buffer_")
        if head not in ("normalize_inputs", "normalize_targets", "unnormalize_outputs"):
            continue
        feature, _, statistic = rest.rpartition(".")
        for prefix in (IMAGE, STATE):
            underscored = prefix.replace(".", "_")
            if feature.startswith(underscored):
                feature = prefix + feature.removeprefix(underscored)
        name, values = f"{feature}.{statistic}", _array(file, source)
        sources, before = out.get(name, ((), values))
        if not np.array_equal(before, values):
            raise LeRobotError(f"'{file.path}': {(*sources, source)} differ; copy it again")
        out[name] = ((*sources, source), values)
    return out


def _array(file: TensorFile, name: str) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = np.array(file.read(name).float().numpy())
    values.setflags(write=False)
    return values
