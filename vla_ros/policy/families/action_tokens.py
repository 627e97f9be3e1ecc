r"""Vision-language models that say actions as tokens: OpenVLA (arXiv 2406.09246) and its kind.

Any model that transformers opens as `AutoModelForImageTextToText` from a local folder, without
code in that folder, trained to answer a prompt with one token per action element: the last
`TOKENS` ids of its vocabulary, the lowest bin last. The folder holds, besides what
`save_pretrained` of the model and of its processor leave, the range of each action element:
``norm_stats`` in config.json, or ``dataset_statistics.json``, both as OpenVLA writes them. What
the folder does not say is declared in ``vla.yaml``:

    options:
      prompt: "{images}In: What action should the robot take to {task}?\nOut:"
      horizon: 8            # actions per answer
      statistics: my_robot  # where there are several
"""

from __future__ import annotations

import importlib
import json
import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.declaration import Declaration, DeclarationError
from vla_ros.policy.checkpoints.layouts import read_json
from vla_ros.policy.checkpoints.vla_loading import relative_actions
from vla_ros.policy.checkpoints.vla_options import options_as
from vla_ros.policy.checkpoints.weights import TensorFile, check_memory, model_id
from vla_ros.policy.first_look import checked_images, checked_state
from vla_ros.policy.models.binned import TOKENS, ActionTokens, BinnedActions
from vla_ros.policy.network_policy import NetworkPolicy
from vla_ros.policy.processors import RelativeActions
from vla_ros.policy.protocol import PolicyRequest, PolicySpec

NEED = "pip install -r requirements/language.txt"


class ActionTokenError(VlaError):
    """A folder that cannot be used as a policy of action tokens."""


class TokenOptions(BaseModel):
    """Settings under ``options`` of a declaration.

    Attributes:
        prompt: What the model is asked; ``{task}`` is the task in lower case, ``{images}`` the
            placeholders of its processor, one for each camera.
        horizon: Actions in one answer.
        bins: Bins of each element's range: 255 in OpenVLA, whose 256 numbers are their edges, 256
            in RT-2 (arXiv 2307.15818).
        limits: What a range is: the first and the 99th percentile, or the extremes of the data.
        statistics: Name of the dataset whose ranges count; None: there is one.
        vocabulary: Ids without padding; None: config.json says it.
        temperature: 0 takes the likeliest token each time; above, a request's seed decides.
        dtype: Of the weights in memory.
        relative: Action names that are given relative to the state at the same place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = "{images}In: What action should the robot take to {task}?\nOut:"
    horizon: int = Field(default=1, ge=1)
    bins: int = Field(default=TOKENS - 1, ge=2, le=TOKENS)
    limits: Literal["quantiles", "min_max"] = "quantiles"
    statistics: str | None = None
    vocabulary: int | None = Field(default=None, gt=TOKENS)
    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    dtype: Literal["float32", "bfloat16"] = "float32"
    relative: tuple[str, ...] = ()

    @field_validator("prompt")
    @classmethod
    def _names_the_task(cls, prompt: str) -> str:
        try:
            named = prompt.format(images="", task="?") != prompt.format(images="", task="!")
        except (KeyError, IndexError, ValueError):
            named = False
        if not named:
            raise ValueError("expected a text with {task}, {images} and no other braces")
        return prompt


@dataclass(frozen=True, kw_only=True)
class TrainedState:
    """The state in the training data, of the elements that actions are relative to.

    The model itself does not read the state, so of the others nothing is asked.

    Attributes:
        mean: Shape (S,).
        per_std: One over the standard deviation; 0 where there is nothing to compare. Shape (S,).
    """

    mean: npt.NDArray[np.float64]
    per_std: npt.NDArray[np.float64]

    def deviations(self, state: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How many standard deviations off each element is. Shape (S,)."""
        return (state - self.mean) * self.per_std


class ActionTokenPolicy(NetworkPolicy[Any]):
    """Asks a vision-language model for the tokens of a chunk.

    Args:
        spec: What it needs and gives.
        model: Of transformers, in evaluation mode.
        processor: The model's own, of texts and images.
        tokens: Chunks as ids.
        options: Settings.
        relative: Actions that it says relative to the state.
        trained: Where the state was in the training data.
    """

    def __init__(
        self,
        spec: PolicySpec,
        model: Any,
        processor: Any,
        tokens: ActionTokens,
        options: TokenOptions,
        relative: RelativeActions,
        trained: TrainedState,
    ) -> None:
        super().__init__(spec, model)
        self._processor = processor
        self._tokens = tokens
        self._prompt = options.prompt
        self._relative = relative
        self._trained = trained
        # One of our own: what the folder's says, for example on sampling, was meant for texts.
        transformers: Any = importlib.import_module("transformers")
        heated = {"do_sample": True, "temperature": options.temperature, "top_k": 0, "top_p": 1.0}
        self._generation = transformers.GenerationConfig(
            max_new_tokens=tokens.count,
            eos_token_id=model.generation_config.eos_token_id,
            pad_token_id=model.generation_config.pad_token_id,
            **(heated if options.temperature else {"do_sample": False}),
        )

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A), absolute, SI.

        Raises:
            ObservationMismatch: The observation does not fit, or the first state of a run, where
                actions are relative to it, cannot be in the training data's units.
            BinError: What the model said is no chunk.
        """
        state = checked_state(request.observation, self._spec)
        self._first.check(self._trained.deviations(state))
        images = checked_images(request.observation, self._spec)
        ids = self._say(images, request.prompt, request.seed)
        return np.asarray(self._relative.invert(self._tokens.read(ids), state), np.float64)

    def warm_up(self) -> None:
        """Let the model answer once about blank images."""
        spec = self._spec
        self._say([np.zeros((*spec.image_size, 3), np.uint8) for _ in spec.camera_keys], "wait", 0)

    @torch.inference_mode()
    def _say(self, images: list[npt.NDArray[np.uint8]], task: str, seed: int | None) -> list[int]:
        places = str(self._processor.image_token) * len(images)
        text = self._prompt.format(images=places, task=task.strip().lower())
        asked = self._processor(text=[text], images=[images], return_tensors="pt")
        given = {
            name: value.to(self._device, self._model.dtype if value.is_floating_point() else None)
            for name, value in asked.items()
            if name != "labels"
        }
        cuda = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(secrets.randbits(63) if seed is None else seed)
            out = self._model.generate(**given, generation_config=self._generation)
        ids: list[int] = out[0, given["input_ids"].shape[1] :].tolist()
        return ids


def load(folder: Path, declaration: Declaration, *, threads: int | None) -> ActionTokenPolicy:
    """Load a vision-language model's folder.

    Raises:
        VlaError: It is incomplete, damaged, needs code of its own, or is not declared well enough.
    """
    try:
        transformers: Any = importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        raise ActionTokenError(f"transformers is not installed; {NEED}") from error
    if threads is not None:
        torch.set_num_threads(threads)
    options = options_as(TokenOptions, declaration)
    config = read_json(folder / "config.json")
    statistics = _statistics(folder, config, options)
    bins = _bins(folder, statistics.get("action", {}), options)
    spec = _spec(folder, declaration, options, len(bins.low))
    dtype = getattr(torch, options.dtype)
    check_memory(folder, _elements(folder) * dtype.itemsize)
    here = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = transformers.AutoProcessor.from_pretrained(folder, **here)
        model, report = transformers.AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **here,
        )
    except Exception as error:  # transformers raises whatever its parts raise
        raise ActionTokenError(
            f"transformers {transformers.__version__} cannot load '{folder}' as a vision-language "
            f"model: {type(error).__name__}: {error}"
        ) from error
    _refuse_unfit(folder, model, report)
    model.eval().requires_grad_(False)
    tokens = ActionTokens(
        bins=bins, vocabulary=_vocabulary(folder, config, options), horizon=options.horizon
    )
    relative = relative_actions(options.relative, spec)
    trained = _trained(statistics.get("proprio", {}), relative.state_index, len(spec.state_names))
    return ActionTokenPolicy(spec, model, processor, tokens, options, relative, trained)


def _elements(folder: Path) -> int:
    """Numbers in all files of weights.

    Raises:
        WeightsError: One is damaged or truncated.
    """
    files = [TensorFile(path) for path in sorted(folder.glob("model*.safetensors"))]
    return sum(math.prod(file.shape(name)) for file in files for name in file.names)


def _statistics(
    folder: Path, config: dict[str, Any], options: TokenOptions
) -> dict[str, dict[str, list[float]]]:
    """Of the dataset that counts, by vector."""
    named: dict[str, Any] = config.get("norm_stats") or read_json(
        folder / "dataset_statistics.json"
    )
    wanted = list(named) if options.statistics is None else [options.statistics]
    if len(wanted) != 1 or wanted[0] not in named:
        raise DeclarationError(
            f"'{folder}' has the statistics of {sorted(named)}; name one of them under options: "
            "{statistics: ...} in vla.yaml"
        )
    return dict(named[wanted[0]])


def _bins(folder: Path, action: dict[str, list[float]], options: TokenOptions) -> BinnedActions:
    names = ("q01", "q99") if options.limits == "quantiles" else ("min", "max")
    missing = [name for name in names if name not in action]
    if missing:
        raise ActionTokenError(f"'{folder}': the actions' statistics have no {missing}")
    low, high = (np.array(action[name], np.float64) for name in names)
    scaled = np.array(action.get("mask", [True] * len(low)), bool)  # False: -1 to 1 as it is
    return BinnedActions(
        low=np.where(scaled, low, -1.0), high=np.where(scaled, high, 1.0), bins=options.bins
    )


def _trained(
    proprio: dict[str, list[float]], relative: tuple[int, ...], count: int
) -> TrainedState:
    """Nothing to compare where the dataset's state is another vector, or unknown (all zeros)."""
    mean, per_std = np.zeros(count), np.zeros(count)
    if {len(proprio.get(name, ())) for name in ("mean", "std")} == {count}:
        mean, std = np.array(proprio["mean"]), np.array(proprio["std"])
        for element in relative:
            per_std[element] = 1.0 / std[element] if std[element] > 0.0 else 0.0
    return TrainedState(mean=mean, per_std=per_std)


def _vocabulary(folder: Path, config: dict[str, Any], options: TokenOptions) -> int:
    if options.vocabulary is not None:
        return options.vocabulary
    size = config.get("text_config", {}).get("vocab_size")
    if not isinstance(size, int):
        raise DeclarationError(
            f"'{folder}': config.json does not say how many tokens there are; put their number "
            "without padding under options: {vocabulary: ...} in vla.yaml"
        )
    return size - int(config.get("pad_to_multiple_of") or 0)


def _spec(folder: Path, declaration: Declaration, options: TokenOptions, dim: int) -> PolicySpec:
    cameras, size = tuple(declaration.cameras), declaration.image_size
    if not cameras or size is None:
        raise DeclarationError(
            f"'{folder}': the folder does not say which images it looks at; put 'cameras' in its "
            "order (robot file's key: any name) and 'image_size: [height, width]' into vla.yaml"
        )
    weights = sorted(folder.glob("model*.safetensors"))
    if not weights:
        raise ActionTokenError(f"'{folder}' holds no *.safetensors; other formats are not read")
    states = declaration.state_names
    return PolicySpec(
        name="action_tokens",
        model_id=model_id(weights[0]),
        camera_keys=cameras,
        image_size=size,
        state_names=declaration.names("state_names", states, max(1, len(states))),
        action_names=declaration.names("action_names", declaration.action_names, dim),
        horizon=options.horizon,
        contract=declaration.contract(cameras),
    )


def _refuse_unfit(folder: Path, model: Any, report: dict[str, Any]) -> None:
    wrong = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
    if wrong:
        raise ActionTokenError(
            f"'{folder}': weights and configuration do not fit together: {json.dumps(wrong)[:300]}"
        )
    bad = [name for name, value in model.named_parameters() if not torch.isfinite(value).all()]
    if bad:
        raise ActionTokenError(f"'{folder}': NaN or infinity in {bad[:5]}; copy it again")
