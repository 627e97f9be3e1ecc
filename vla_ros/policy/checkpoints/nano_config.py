"""What a nano checkpoint is, but for its weights and statistics: values, and as config.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vla_ros.errors import VlaError
from vla_ros.policy.models.nano import NanoSizes
from vla_ros.policy.processors import WordTokenizer

NORM_MAP = {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}


class CheckpointError(VlaError):
    """A checkpoint that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class NanoConfig:
    """Everything about a nano checkpoint that is not a weight or a statistic.

    Attributes:
        robot: Name of the robot file the data came from.
        spec_hash: Hash of that robot file.
        camera_keys: Cameras in the network's order.
        state_names: State vector, in order.
        action_names: Action vector, in order.
        action_kinds: "position" or "binary" for each action element.
        num_steps: Euler steps from noise to a chunk.
        time_contract: ``TimeContract.to_dict()``.
        vocabulary: Known words.
        max_words: Longest instruction.
        object_names: Order of the object head.
        bin_names: Order of the bin head.
        scene_mean: Centre of the auxiliary heads' positions, x y z in metres.
        scene_scale: Their unit in metres.
        sizes: Sizes of the network.
        training: How the weights came about; free of meaning for inference.
        rtc_max_delay: Most leading rows it was trained to be given clean; 0: none.
    """

    robot: str
    spec_hash: int
    camera_keys: tuple[str, ...]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    action_kinds: tuple[str, ...]
    num_steps: int
    time_contract: Mapping[str, Any]
    vocabulary: tuple[str, ...]
    max_words: int
    object_names: tuple[str, ...]
    bin_names: tuple[str, ...]
    scene_mean: tuple[float, float, float]
    scene_scale: float
    sizes: NanoSizes
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rtc_max_delay: int = 0

    def __post_init__(self) -> None:
        sizes = self.sizes
        facts = {
            "cameras": (sizes.cameras, len(self.camera_keys)),
            "state_dim": (sizes.state_dim, len(self.state_names)),
            "action_dim": (sizes.action_dim, len(self.action_names)),
            "words": (sizes.words, len(self.vocabulary) + 2),
            "objects": (sizes.objects, len(self.object_names)),
            "bins": (sizes.bins, len(self.bin_names)),
        }
        wrong = [f"{k}: sizes say {a}, names say {b}" for k, (a, b) in facts.items() if a != b]
        if wrong or len(self.action_kinds) != len(self.action_names):
            raise CheckpointError("Configuration contradicts itself: " + "; ".join(wrong))
        if not 0 <= self.rtc_max_delay < sizes.horizon:
            raise CheckpointError(
                f"rtc_max_delay is {self.rtc_max_delay}, expected 0 to {sizes.horizon - 1}: fewer "
                "rows than a chunk has"
            )

    def tokenizer(self) -> WordTokenizer:
        """The tokenizer of this vocabulary."""
        return WordTokenizer(self.vocabulary, self.max_words)


def features_of(config: NanoConfig) -> dict[str, Any]:
    """Inputs and the output with their shapes, as LeRobot writes them."""
    sizes = config.sizes
    image = {"type": "VISUAL", "shape": [3, sizes.image_height, sizes.image_width]}
    features: dict[str, Any] = {f"observation.images.{k}": image for k in config.camera_keys}
    features["observation.state"] = {"type": "STATE", "shape": [sizes.state_dim]}
    features["action"] = {"type": "ACTION", "shape": [sizes.action_dim]}
    return features


def config_to_json(config: NanoConfig) -> dict[str, Any]:
    """Values of config.json."""
    features = features_of(config)
    return {
        "type": "nano",
        "n_obs_steps": 1,
        "input_features": {k: v for k, v in features.items() if k != "action"},
        "output_features": {"action": features["action"]},
        "normalization_mapping": NORM_MAP,
        "chunk_size": config.sizes.horizon,
        **dataclasses.asdict(config),
        "spec_hash": f"{config.spec_hash:#018x}",
    }


def config_from_json(values: dict[str, Any]) -> NanoConfig:
    """Reads what `config_to_json` gives.

    Raises:
        CheckpointError: A value is missing, unknown or does not fit.
    """
    if values.get("type") != "nano":
        raise CheckpointError(f"config.json: expected type 'nano', got {values.get('type')!r}.")
    fields = {field.name for field in dataclasses.fields(NanoConfig)}
    derived = {"type", "n_obs_steps", "input_features", "output_features"}
    derived |= {"normalization_mapping", "chunk_size"}
    values = {"rtc_max_delay": 0, **values}  # written since rows can be given
    missing, unknown = fields - values.keys(), values.keys() - fields - derived
    if missing or unknown:
        raise CheckpointError(f"config.json: missing {sorted(missing)}, unknown {sorted(unknown)}.")

    def frozen(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    try:
        kept = {name: frozen(values[name]) for name in fields}
        kept["sizes"] = NanoSizes(**{k: frozen(v) for k, v in values["sizes"].items()})
        kept["spec_hash"] = int(values["spec_hash"], 16)
        return NanoConfig(**kept)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"config.json does not fit this version: {error}.") from error
