"""Any policy of an installed LeRobot as a policy of ours, in LeRobot's own environment.

LeRobot (https://github.com/huggingface/lerobot, 0.4 and newer) loads the checkpoint and its
processors by their own code, so every family it has, and every plugin, works as it does there. Its
checkpoints name no joints and no timing: a `Declaration` does (``vla.yaml`` in the folder, or a
file of its own). Its options here:

* ``degrees``: names of state and action that the checkpoint has in degrees;
* ``history: repeat``: for a checkpoint that reads several observations, which a request does not
  carry: show it the newest one as often, as LeRobot itself does at the start of an episode;
* ``model_id``: travels in every chunk.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.declaration import Declaration, declaration_of, read_declaration
from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.policy.remote.blank import blank_request

IMAGES, STATE, ACTION = "observation.images.", "observation.state", "action"
NEED = "pip install lerobot, or name the interpreter that has it with --peer-python"


class LerobotError(VlaError):
    """LeRobot is not there, or its checkpoint and the declaration do not fit together."""


class LerobotPolicy:
    """A LeRobot policy with its processors.

    Nobody knows what any policy keeps between requests, so it is ``stateful``: one robot each.

    Args:
        policy: LeRobot's, in evaluation mode.
        before: Its preprocessor, from a batch to the network's input.
        after: Its postprocessor, from the network's actions to the robot's.
        spec: What it needs and gives.
        images: For each of our camera keys LeRobot's key.
        degrees: Names of state and action that are degrees there.
        repeats: Show the observation as often as the history is long.
    """

    stateful = True

    def __init__(
        self,
        policy: Any,
        before: Any,
        after: Any,
        spec: PolicySpec,
        images: Mapping[str, str],
        degrees: tuple[str, ...],
        *,
        repeats: bool,
    ) -> None:
        self._repeats = repeats
        self._torch: Any = importlib.import_module("torch")
        self._policy = policy
        self._before = before
        self._after = after
        self._spec = spec
        self._images = dict(images)
        self._state_units = _units(spec.state_names, degrees)
        self._action_units = _units(spec.action_names, degrees)

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._spec

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A), absolute, SI.

        Raises:
            LerobotError: The answer has another shape, or is not finite.
        """
        torch, observation = self._torch, request.observation
        if request.seed is not None:
            torch.manual_seed(request.seed)
        state = (observation.state * self._state_units).astype(np.float32)
        batch: dict[str, Any] = {STATE: torch.from_numpy(state)[None], "task": [request.prompt]}
        for ours, theirs in self._images.items():
            pixels = torch.from_numpy(np.array(observation.images[ours]))
            batch[theirs] = pixels.permute(2, 0, 1)[None].to(torch.float32) / 255.0
        with torch.inference_mode():
            rows = self._rows(self._before(batch))
            chunk = torch.stack([self._after(row) for row in rows], dim=1)
        actions = chunk[0].to("cpu", torch.float64).numpy()
        expected = (self._spec.horizon, len(self._spec.action_names))
        if actions.shape != expected or not np.isfinite(actions).all():
            raise LerobotError(
                f"the policy answered with shape {actions.shape}, expected {expected} of finite "
                "numbers; correct the declaration, or look at the checkpoint's statistics"
            )
        return np.asarray(actions / self._action_units, np.float64)

    def _rows(self, batch: dict[str, Any]) -> list[Any]:
        """The network's actions, one tensor of shape (1, A) for each row."""
        if self._repeats:
            self._policy.reset()  # its first call fills the history with this observation
            return [self._policy.select_action(dict(batch)) for _ in range(self._spec.horizon)]
        return list(self._policy.predict_action_chunk(batch).unbind(1))

    def reset(self) -> None:
        """Forget the history."""
        self._policy.reset()

    def warm_up(self) -> None:
        """Answer once on blank input."""
        self.infer(blank_request(self._spec))
        self.reset()

    def close(self) -> None:
        """Nothing to free."""


def load_lerobot(
    source: str, about: Path | None, *, device: str, threads: int | None
) -> LerobotPolicy:
    """Load a checkpoint with the LeRobot that is installed here.

    Args:
        source: Its folder, or its name on the hub.
        about: File of its `Declaration`; None: ``vla.yaml`` in the folder.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of torch; None leaves them as they are.

    Raises:
        LerobotError: LeRobot is not installed, cannot load it, or the names do not fit.
        DeclarationError: The declaration cannot be read, or lacks something.
    """
    try:
        torch: Any = importlib.import_module("torch")
        configs: Any = importlib.import_module("lerobot.configs.policies")
        factory: Any = importlib.import_module("lerobot.policies.factory")
    except ModuleNotFoundError as error:
        raise LerobotError(f"{error.name} is not installed in this environment; {NEED}") from error
    declaration = read_declaration(about) if about is not None else declaration_of(Path(source))
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        config = configs.PreTrainedConfig.from_pretrained(source)
        config.device = device
        policy = factory.get_policy_class(config.type).from_pretrained(source, config=config)
        where = {"device_processor": {"device": device}}
        before, after = factory.make_pre_post_processors(
            config,
            pretrained_path=source,
            preprocessor_overrides=where,
            postprocessor_overrides={"device_processor": {"device": "cpu"}},
        )
    except Exception as error:  # LeRobot raises whatever its parts raise
        raise LerobotError(
            f"LeRobot cannot load '{source}': {type(error).__name__}: {error}"
        ) from error
    policy.to(device).eval()
    images = _cameras(config, declaration)
    spec = _spec(config, declaration, images)
    return LerobotPolicy(
        policy,
        before,
        after,
        spec,
        images,
        tuple(declaration.options.get("degrees", ())),
        repeats=config.n_obs_steps > 1,
    )


def _cameras(config: Any, declaration: Declaration) -> dict[str, str]:
    """Our camera keys -> LeRobot's."""
    there = {key.removeprefix(IMAGES): key for key in config.image_features}
    ours = declaration.cameras or {key: key for key in there}
    unknown = sorted(set(ours.values()) ^ set(there))
    if unknown:
        raise LerobotError(
            f"cameras: the checkpoint has {sorted(there)}, the declaration names "
            f"{sorted(ours.values())}; list each one under 'cameras' (ours: theirs)"
        )
    return {key: there[name] for key, name in ours.items()}


def _spec(config: Any, declaration: Declaration, images: Mapping[str, str]) -> PolicySpec:
    sizes = {tuple(config.input_features[key].shape[1:]) for key in images.values()}
    if len(sizes) != 1 and declaration.image_size is None:
        raise LerobotError(f"cameras of sizes {sorted(sizes)}; declare one image_size")
    state = config.robot_state_feature
    if state is None:
        raise LerobotError(f"the checkpoint reads no '{STATE}'; such policies are not supported")
    if config.n_obs_steps > 1 and declaration.options.get("history") != "repeat":
        raise LerobotError(
            f"the checkpoint reads the last {config.n_obs_steps} observations, expected 1: "
            "LeRobot keeps them inside; declare the option 'history: repeat' to show it that one "
            f"{config.n_obs_steps} times"
        )
    rows = ("chunk_size", "n_action_steps") if config.n_obs_steps == 1 else ("n_action_steps",)
    chunk = next((n for key in rows if isinstance(n := getattr(config, key, None), int)), None)
    if chunk is None:
        raise LerobotError(f"'{config.type}' has no {' or '.join(rows)}: it makes no chunks")
    return PolicySpec(
        name=f"lerobot-{config.type}",
        model_id=str(declaration.options.get("model_id", config.type)),
        camera_keys=tuple(images),
        image_size=declaration.image_size or sizes.pop(),
        state_names=declaration.names("state_names", declaration.state_names, state.shape[0]),
        action_names=declaration.names(
            "action_names", declaration.action_names, config.action_feature.shape[0]
        ),
        horizon=chunk,
        contract=declaration.contract(images),
    )


def _units(names: tuple[str, ...], degrees: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """The checkpoint's units in one of ours, for each name."""
    return np.array([180.0 / np.pi if name in degrees else 1.0 for name in names])
