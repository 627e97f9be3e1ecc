"""What loading a pi0, pi0.5 or SmolVLA checkpoint has in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from vla_ros.policy.declaration import Declaration, DeclarationError
from vla_ros.policy.dual_policy import AtOnce, DualPolicy, TwoStagePolicy
from vla_ros.policy.flow_policy import FlowProcessors
from vla_ros.policy.layouts import CheckpointFolder, LayoutError
from vla_ros.policy.processors import RelativeActions, ZeroPadding
from vla_ros.policy.processors.letterbox import Letterbox
from vla_ros.policy.processors.prompt import Prompt
from vla_ros.policy.processors.tokens import TextTokenizer
from vla_ros.policy.protocol import Policy, PolicySpec
from vla_ros.policy.weights import Part, fill

Network = TypeVar("Network", bound=nn.Module)
Options = TypeVar("Options", bound=BaseModel)

_EXACT = ("norm", "action_", "state.", "time_", "modulation")
"""Weights with these in their names stay float32 in a bfloat16 model: small, and tender."""


class Advantage(BaseModel):
    """What a checkpoint trained with advantages is told (pi*0.6, arXiv 2511.14759).

    Attributes:
        say: The line in its prompt.
        weight: Of classifier-free guidance towards it: 1 draws as the checkpoint was trained, more
            goes further than its data, at the price of twice the computation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    say: str = Field(default="Advantage: positive", min_length=1, pattern=r"^[^\n]*$")
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Dual(BaseModel):
    """Two paces: see `vla_ros.policy.dual_policy`.

    Attributes:
        period_s: Between two looks [s].
        limit_s: Oldest look that is acted on [s]; None: three periods.
        background: Look in a thread of its own. False: in between, which repeats bit by bit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    period_s: float = Field(gt=0, allow_inf_nan=False)
    limit_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    background: bool = True


class VlaOptions(BaseModel):
    """Settings under ``options`` of a declaration.

    Attributes:
        behaviour: ``modern``: openpi and LeRobot from 0.6 on; ``lerobot_0_4``: borders of
            letterboxed images are -3, and pi0.5's prompt lists the padded state.
        resize: ``pil`` or ``torch``; None: as the layout's own training code does.
        dtype: Of the weights in memory.
        num_steps: Euler steps; None: the checkpoint's own number.
        temperature: Of policies that say action tokens; None: the checkpoint's own, 0 is the
            likeliest token each time.
        action_tokenizer: Folder of pi0-FAST's action tokenizer, relative to the checkpoint.
        advantage: Of policies trained with advantages; None: nothing is said about it.
        dual: Of policies whose images and words are read more rarely than they act; None: each
            chunk is of one observation.
        relative: Action names that the network gives relative to the state element at the same
            place (openpi's DeltaActions).
        asset: Which of openpi's assets holds the statistics.
        shifted_positions: SmolVLA: read the image positions as transformers 4.55 to 4.57 did in
            float32, for checkpoints trained so (see `shift_positions`).
        sizes: Sizes other than the published ones, by part.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    behaviour: Literal["modern", "lerobot_0_4"] = "modern"
    resize: Literal["pil", "torch"] | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    num_steps: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    action_tokenizer: str = "fast"
    advantage: Advantage | None = None
    dual: Dual | None = None
    relative: tuple[str, ...] = ()
    asset: str | None = None
    shifted_positions: bool = False
    sizes: dict[str, Any] = {}

    @property
    def torch_dtype(self) -> torch.dtype:
        """``dtype`` as torch's."""
        return torch.bfloat16 if self.dtype == "bfloat16" else torch.float32


def read_options(declaration: Declaration) -> VlaOptions:
    """The declaration's options; as `options_as`."""
    return options_as(VlaOptions, declaration)


def options_as(kind: type[Options], declaration: Declaration) -> Options:
    """The declaration's options as those of a family.

    Raises:
        DeclarationError: A key is unknown or of another type.
    """
    try:
        return kind.model_validate(declaration.options)
    except ValidationError as error:
        parts = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        ]
        raise DeclarationError(f"options: {'; '.join(parts)}") from error


def load_weights(
    model: Callable[[], Network],
    folder: CheckpointFolder,
    canonical: Callable[[str], str],
    parts: Callable[[set[str]], Mapping[str, Part]],
    unused: Callable[[set[str]], set[str]],
    dtype: torch.dtype,
) -> Network:
    """Build a network and give it the folder's weights.

    Args:
        model: Builds it.
        folder: Where the weights are.
        canonical: The file's name of a tensor -> the name that ``parts`` knows.
        parts: Where each of the network's tensors comes from, given the canonical names there.
        unused: Those of the canonical names that nobody needs.
        dtype: Of the weights in memory.

    Raises:
        WeightsError: They do not fit.
    """
    with torch.device("meta"):
        network = model()
    names = {canonical(name): name for name in folder.tensors.names - folder.inert}
    wanted = {
        ours: Part(tuple(names.get(name, name) for name in part.names), part.plus, part.columns)
        for ours, part in parts(set(names)).items()
    }
    ignored = {names[name] for name in unused(set(names)) if name in names} | folder.inert
    fill(
        network,
        wanted,
        folder.tensors,
        dtype=dtype,
        exact=lambda name: not name.startswith("vision.") and any(p in name for p in _EXACT),
        ignored=ignored,
    )
    return network


def make_spec(
    name: str, folder: CheckpointFolder, declaration: Declaration, *, horizon: int
) -> PolicySpec:
    """What the checkpoint needs and gives.

    Raises:
        DeclarationError: Names, cameras, sizes or timing are not declared, or do not fit.
    """
    names = {
        "state": declaration.state_names,
        "action": declaration.action_names,
    }
    for feature, dim in (("state", folder.dim("state")), ("action", folder.dim("action"))):
        count = len(names[feature]) if dim is None else dim
        declaration.names(f"{feature}_names", names[feature], max(1, count))
    cameras = camera_keys(folder, declaration)
    return PolicySpec(
        name=name,
        model_id=model_id(folder.tensors.path),
        camera_keys=tuple(cameras),
        image_size=_image_size(folder, declaration, cameras),
        state_names=names["state"],
        action_names=names["action"],
        horizon=horizon,
        contract=declaration.contract(cameras),
        rtc="guided",
    )


def camera_keys(folder: CheckpointFolder, declaration: Declaration) -> dict[str, str]:
    """The robot file's camera keys -> the checkpoint's, in the network's order.

    Raises:
        DeclarationError: A name does not exist, or openpi's cameras are not declared.
    """
    if folder.layout == "openpi":
        known = ["base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb"]
    else:
        known = list(folder.cameras())
    given = declaration.cameras or {
        folder.renamed.get(key, key): key for key in known if folder.layout != "openpi"
    }
    unknown = [key for key in given.values() if key not in known]
    if unknown or not given or len(set(given.values())) != len(given):
        raise DeclarationError(
            f"cameras: expected the robot file's keys with different ones of {known}, got "
            f"{dict(given)}; say in vla.yaml which camera is which"
        )
    return dict(sorted(given.items(), key=lambda pair: known.index(pair[1])))


def _image_size(
    folder: CheckpointFolder, declaration: Declaration, cameras: Mapping[str, str]
) -> tuple[int, int]:
    if declaration.image_size is not None:
        return declaration.image_size
    sizes = {size for key, size in folder.cameras().items() if key in cameras.values()}
    if len(sizes) != 1:
        raise DeclarationError(
            f"the training data's image sizes are {sorted(sizes) or 'not known'}; put the one that "
            "the robot file makes under 'image_size: [height, width]' in vla.yaml"
        )
    return sizes.pop()


def make_processors(
    folder: CheckpointFolder,
    declaration: Declaration,
    options: VlaOptions,
    spec: PolicySpec,
    *,
    letterbox: Letterbox,
    prompt: Prompt,
    action_dim: int,
    state_dim: int,
    words: int,
    tokenizer: str,
    longest: int,
) -> FlowProcessors:
    """The steps around the network.

    Raises:
        LayoutError: Statistics are missing or those of no data.
        ProcessorError: There is no tokenizer, or a vector is longer than the network's.
        DeclarationError: A relative action does not exist.
    """
    states, actions = len(spec.state_names), len(spec.action_names)
    told = options.advantage
    return FlowProcessors(
        letterbox=letterbox,
        state=folder.normaliser("state", states),
        state_padding=ZeroPadding(states, state_dim),
        prompt=prompt if told is None else prompt.with_advantage(told.say),
        contrast=None if told is None or told.weight == 1.0 else told.weight,
        tokenizer=TextTokenizer(
            folder.folder, declaration.tokenizer, usual=tokenizer, words=words, longest=longest
        ),
        action=folder.normaliser("action", actions),
        action_padding=ZeroPadding(actions, action_dim),
        relative=relative_actions(options.relative, spec),
    )


def relative_actions(names: tuple[str, ...], spec: PolicySpec) -> RelativeActions:
    """The step for actions that the network gives relative to the state at the same place.

    Raises:
        DeclarationError: A name is no action, or has no state at its place.
    """
    columns = tuple(spec.action_names.index(n) for n in names if n in spec.action_names)
    if len(columns) != len(names) or any(column >= len(spec.state_names) for column in columns):
        raise DeclarationError(
            f"options.relative: expected names of actions that have a state at the same place, got "
            f"{list(names)}"
        )
    return RelativeActions(columns, columns)


def at_its_paces(policy: TwoStagePolicy, dual: Dual | None) -> Policy:
    """The policy itself, or with a prefix at its own pace where that is declared.

    Raises:
        DualSystemError: This one cannot.
    """
    if dual is None:
        return policy
    limit_s = 3.0 * dual.period_s if dual.limit_s is None else dual.limit_s
    executor = None if dual.background else AtOnce()
    return DualPolicy(policy, period_s=dual.period_s, limit_s=limit_s, executor=executor)


def setting(folder: CheckpointFolder, *names: str, default: Any = None) -> Any:
    """The first of several keys that config.json has.

    Raises:
        LayoutError: It has none, and there is no default.
    """
    for name in names:
        if folder.config.get(name) is not None:
            return folder.config[name]
    if default is None:
        raise LayoutError(f"'{folder.folder}/config.json' lacks '{names[0]}'; copy it again")
    return default


def model_id(path: Path) -> str:
    """A short hash of a weights' file: of its size, header and last bytes, as it may be huge."""
    with path.open("rb") as file:
        digest = hashlib.sha256(str(path.stat().st_size).encode())
        digest.update(file.read(1 << 20))
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        digest.update(file.read())
    return digest.hexdigest()[:12]
