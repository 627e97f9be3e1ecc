"""What loading a pi0, pi0.5 or SmolVLA checkpoint has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from vla_ros.policy.checkpoints.declaration import Declaration, DeclarationError
from vla_ros.policy.checkpoints.layouts import CheckpointFolder, LayoutError
from vla_ros.policy.checkpoints.vla_options import Advantage, Dual, FlowOptions, Sized, VlaOptions
from vla_ros.policy.checkpoints.weights import Part, fill, model_id
from vla_ros.policy.dual_policy import AtOnce, DualPolicy, TwoStagePolicy
from vla_ros.policy.flow_policy import FlowPolicy, FlowProcessors
from vla_ros.policy.models.gated import GatedSizes
from vla_ros.policy.models.linear import use_int8
from vla_ros.policy.models.prefix_expert import PrefixExpert
from vla_ros.policy.models.siglip import SiglipSizes
from vla_ros.policy.models.unchanged_images import reuse_unchanged
from vla_ros.policy.processors import RelativeActions, ZeroPadding
from vla_ros.policy.processors.letterbox import Letterbox
from vla_ros.policy.processors.prompt import Prompt
from vla_ros.policy.processors.tokens import TextTokenizer
from vla_ros.policy.protocol import Policy, PolicySpec

Network = TypeVar("Network", bound=nn.Module)
Sizes = TypeVar("Sizes", GatedSizes, SiglipSizes)

_EXACT = ("norm", "action_", "state.", "time_", "modulation")
"""Weights with these in their names stay float32 in smaller models: small, and tender."""


def declared_sizes(part: Sized, published: Sizes, options: VlaOptions) -> Sizes:
    """The sizes of a part of the network, with the declared ones over the published ones.

    Raises:
        DeclarationError: A name of a size is unknown.
    """
    try:
        return replace(published, **options.sizes.get(part, {}))
    except TypeError as error:
        raise DeclarationError(f"options.sizes.{part}: {error}") from error


def load_weights(
    model: Callable[[], Network],
    folder: CheckpointFolder,
    canonical: Callable[[str], str],
    parts: Callable[[set[str]], Mapping[str, Part]],
    unused: Callable[[set[str]], set[str]],
    options: VlaOptions,
) -> Network:
    """Build a network and give it the folder's weights.

    Args:
        model: Builds it.
        folder: Where the weights are.
        canonical: The file's name of a tensor -> the name that ``parts`` knows.
        parts: Where each of the network's tensors comes from, given the canonical names there.
        unused: Those of the canonical names that nobody needs.
        options: Of what type they are in memory.

    Raises:
        WeightsError: They do not fit.
    """
    with torch.device("meta"):
        network = model()
    if options.dtype == "int8":
        use_int8(network, _stays_exact)
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
        dtype=torch.float32 if options.dtype == "float32" else torch.bfloat16,
        exact=_stays_exact if options.dtype != "int8" else lambda name: name != "words.weight",
        ignored=ignored,
    )
    return network


def _stays_exact(name: str) -> bool:
    return not name.startswith("vision.") and any(part in name for part in _EXACT)


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
    advantage: Advantage | None = None,
) -> FlowProcessors:
    """The steps around the network.

    Raises:
        LayoutError: Statistics are missing or those of no data.
        ProcessorError: There is no tokenizer, or a vector is longer than the network's.
        DeclarationError: A relative action does not exist.
    """
    states, actions = len(spec.state_names), len(spec.action_names)
    told = advantage
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


def flow_policy(
    folder: CheckpointFolder,
    options: FlowOptions,
    spec: PolicySpec,
    network: PrefixExpert[Any],
    processors: FlowProcessors,
    *,
    threads: int | None,
) -> Policy:
    """The policy over a loaded network, as the options want it.

    Raises:
        DualSystemError: It cannot look and act at two paces.
    """
    if options.reuse_images:
        reuse_unchanged(network.get_submodule("vision"))
    steps = int(setting(folder, "num_inference_steps", "num_steps", default=10))
    flow = FlowPolicy(
        spec,
        network,
        processors,
        num_steps=options.num_steps or steps,
        threads=threads,
        cuda_graphs=options.cuda_graphs,
    )
    return at_its_paces(flow, options.dual)


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
