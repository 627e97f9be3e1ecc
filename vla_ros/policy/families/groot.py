"""GR00T N1.5 checkpoints from LeRobot behind the Policy protocol, over a backbone of your own.

The action head is here; the vision-language backbone, Eagle 2.5, is not. An installed package
offers one as an entry point of the group ``vla_ros.backbones``, a function that is called with the
folder and answers with a `Backbone`; a declaration names it:

    options:
      backbone: eagle

Its ``features`` are the hidden states that the checkpoint's ``select_layer`` names, of images and
instruction as LeRobot's `GrootEagleEncodeStep` and `GrootEagleCollateStep` put them together.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.declaration import Declaration, DeclarationError
from vla_ros.policy.checkpoints.layouts import read_json
from vla_ros.policy.checkpoints.lerobot_folder import ACTION, STATE, LeRobotFolder
from vla_ros.policy.checkpoints.lerobot_values import LeRobotValues, lerobot_values
from vla_ros.policy.checkpoints.vla_loading import at_its_paces
from vla_ros.policy.checkpoints.vla_options import Dual, options_as
from vla_ros.policy.checkpoints.weights import TensorFile
from vla_ros.policy.families.groot_weights import load_groot_head
from vla_ros.policy.first_look import checked_images
from vla_ros.policy.models.groot import GrootHead, GrootSizes
from vla_ros.policy.models.groot_dit import Pair
from vla_ros.policy.network_policy import NetworkPolicy
from vla_ros.policy.processors import ZeroPadding
from vla_ros.policy.protocol import Policy, PolicyRequest

_PACK = "groot_pack_inputs_v3"
_STEPS = {
    "rename_observations_processor",
    "to_batch_processor",
    _PACK,
    "groot_eagle_encode_v3",
    "groot_eagle_collate_v3",
    "device_processor",
}
_NUM_STEPS = 4
BACKBONES = "vla_ros.backbones"
"""Group of entry points: a folder names one of them, it brings no code of its own."""


class GrootError(VlaError):
    """A GR00T checkpoint, or its backbone, that cannot be used."""


class Backbone(Protocol):
    """The vision-language model in front of the head."""

    def features(self, images: Sequence[npt.NDArray[np.uint8]], prompt: str) -> Tensor:
        """Its hidden states.

        Args:
            images: By the names of the checkpoint's camera keys. Shape (H, W, 3) each.
            prompt: The instruction.

        Returns:
            Shape (N, backbone_dim).
        """
        ...


class GrootOptions(BaseModel):
    """Settings under ``options`` of a declaration.

    Attributes:
        backbone: Name of an entry point of the group `BACKBONES`.
        num_steps: Euler steps.
        dual: The backbone looks more rarely than the head acts; None: each time.
        sizes: Sizes other than N1.5's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str | None = None
    num_steps: int = Field(default=_NUM_STEPS, ge=1)
    dual: Dual | None = None
    sizes: dict[str, int] = {}


class GrootPolicy(NetworkPolicy[GrootHead]):
    """Answers each observation with a chunk of the flow over the backbone's features.

    Args:
        head: The action head.
        backbone: In front of it; where it computes is its own matter.
        values: Normalisation.
        embodiment: Which of the head's sets of weights.
        num_steps: Euler steps.
    """

    state_in_words = False

    def __init__(
        self,
        head: GrootHead,
        backbone: Backbone,
        values: LeRobotValues,
        *,
        embodiment: int,
        num_steps: int = _NUM_STEPS,
    ) -> None:
        super().__init__(values.spec, head)
        self._backbone = backbone
        self._values = values
        self._embodiment = embodiment
        self._num_steps = num_steps
        self._padding = ZeroPadding(len(values.spec.state_names), head.sizes.state_dim)

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A), absolute, SI.

        Raises:
            ObservationMismatch: The observation does not fit, or the first state of a run cannot
                be in the training data's units.
            GrootError: The backbone answered something else than features.
            ValueMismatch: The answer is not finite.
        """
        return self.act(self.look(request), request)

    def look(self, request: PolicyRequest) -> list[Pair | None]:
        """What images and prompt amount to, for `act`.

        Raises:
            VlaError: As `infer`.
        """
        images = checked_images(request.observation, self.spec)
        return self._keys(self._backbone.features(images, request.prompt))

    def act(self, scene: list[Pair | None], request: PolicyRequest) -> npt.NDArray[np.float64]:
        """The chunk for the state of a request and a scene of the same run. Shape (T, A).

        Raises:
            VlaError: As `infer`.
        """
        state = self._values.state_tensor(request.observation)
        self._first.check(state.numpy())
        seed = secrets.randbits(63) if request.seed is None else request.seed
        chunk = self._sample(scene, state.numpy(), seed)
        rows, width = self.spec.horizon, len(self.spec.action_names)
        return self._values.actions(chunk[:rows, :width])

    def warm_up(self) -> None:
        """Run backbone and head once on blank input."""
        spec = self.spec
        images = [np.zeros((*spec.image_size, 3), np.uint8) for _ in spec.camera_keys]
        keys = self._keys(self._backbone.features(images, "warm up"))
        self._sample(keys, np.zeros(len(spec.state_names), np.float32), 0)

    @torch.no_grad()
    def _keys(self, features: Tensor) -> list[Pair | None]:
        width = self._model.sizes.backbone_dim
        if features.ndim != 2 or features.shape[-1] != width or not len(features):
            raise GrootError(
                f"the backbone answered with shape {tuple(features.shape)}, expected (N, {width}); "
                "is it the one that this head was trained with?"
            )
        return self._model.look(features[None].to(self._device, torch.float32))

    @torch.no_grad()
    def _sample(self, keys: list[Pair | None], state: npt.NDArray[np.float32], seed: int) -> Tensor:
        head, device = self._model, self._device
        padded = torch.from_numpy(self._padding.apply(state))[None, None]
        body = torch.tensor([self._embodiment], device=device)
        noise = torch.randn(
            (1, head.sizes.horizon, head.sizes.action_dim),
            generator=torch.Generator().manual_seed(seed),
        )
        prefix = head.feel(keys, padded.to(device, torch.float32), body)
        return head.sample(prefix, noise.to(device), num_steps=self._num_steps)[0].cpu()


def load(folder: Path, declaration: Declaration, *, threads: int | None) -> Policy:
    """Load a GR00T N1.5 checkpoint of LeRobot.

    Raises:
        VlaError: It is incomplete, damaged, of another size, or not declared well enough.
    """
    options = options_as(GrootOptions, declaration)
    if options.backbone is None:
        raise GrootError(
            f"'{folder}': GR00T's vision-language backbone is not part of this package. Run the "
            "checkpoint with `vla serve --lerobot`, ask a GR00T server (docs/remote.md), or name "
            f"an entry point of the group {BACKBONES} under options: {{backbone: ...}}"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        sizes = replace(GrootSizes(), **options.sizes)
    except TypeError as error:
        raise DeclarationError(f"options.sizes: {error}") from error
    files, body = _read(folder)
    values = lerobot_values(
        files,
        declaration,
        name="groot",
        horizon=min(int(files.get("chunk_size", int)), sizes.horizon),
    )
    head = load_groot_head(folder / "model.safetensors", sizes)
    backbone: Backbone = _named(options.backbone)(folder)
    policy = GrootPolicy(head, backbone, values, embodiment=body, num_steps=options.num_steps)
    return at_its_paces(policy, options.dual)


def _read(folder: Path) -> tuple[LeRobotFolder, int]:
    """Configuration and statistics, and the number of the embodiment."""
    entries = read_json(folder / "policy_preprocessor.json").get("steps", [])
    steps = {step["registry_name"]: step for step in entries}
    unknown = sorted(steps.keys() - _STEPS)
    pack = steps.get(_PACK, {})
    if unknown or "state_file" not in pack:
        raise GrootError(
            f"'{folder}': expected the step {_PACK} with its statistics and none but "
            f"{sorted(_STEPS)}, got {sorted(steps)}; serve this checkpoint from LeRobot itself"
        )
    settings: dict[str, Any] = pack["config"]
    tag, known = settings.get("embodiment_tag"), settings.get("embodiment_mapping", {})
    if tag not in known:
        raise GrootError(f"'{folder}': the embodiment '{tag}' is none of {sorted(known)}")
    mode = "MIN_MAX" if settings.get("normalize_min_max", True) else "IDENTITY"
    file = TensorFile(folder / pack["state_file"])
    config = read_json(folder / "config.json")
    # LeRobot hands the images over by the names of their keys.
    config["input_features"] = dict(sorted(config.get("input_features", {}).items()))
    files = LeRobotFolder(
        path=folder,
        config=config,
        modes={"VISUAL": "IDENTITY", "STATE": mode, "ACTION": mode},
        statistics={
            name: file.read(name).float().numpy()
            for name in file.names
            if name.startswith((f"{STATE}.", f"{ACTION}."))
        },
        buffers=frozenset(),
    )
    return files, int(known[tag])


def _named(name: str) -> Any:
    """The function that an installed package offers under a name."""
    offered = {point.name: point for point in entry_points(group=BACKBONES)}
    if name not in offered:
        raise DeclarationError(
            f"options.backbone: no installed package offers '{name}', there are {sorted(offered)}; "
            f"a package offers one as an entry point of the group {BACKBONES}"
        )
    return offered[name].load()
