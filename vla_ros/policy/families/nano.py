"""The nano checkpoint behind the Policy protocol."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.declaration import Declaration
from vla_ros.policy.checkpoints.nano import action_processor, load_nano
from vla_ros.policy.guidance import flow_guidance, given_rows
from vla_ros.policy.models.flow import FlowGuidance, GivenRows
from vla_ros.policy.models.nano import Nano
from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.spaces.time_contract import TimeContract


class NanoPolicyError(VlaError):
    """A request that does not fit the checkpoint."""


class NanoPolicy:
    """Answers observations with chunks; float32, one observation at a time.

    Args:
        folder: Checkpoint folder.
        num_steps: Euler steps; None: the checkpoint's own number.
        threads: CPU threads of torch in this process; None leaves them as they are. With a seed,
            equal requests give bit-equal chunks as long as the number of threads is the same.

    Raises:
        CheckpointError: The folder cannot be used.
    """

    def __init__(
        self, folder: Path | str, *, num_steps: int | None = None, threads: int | None = None
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        checkpoint = load_nano(folder)
        config = checkpoint.config
        self._config = config
        self._num_steps = num_steps if num_steps is not None else config.num_steps
        if self._num_steps < 1:
            raise NanoPolicyError(f"num_steps: expected 1 or more, got {self._num_steps}.")
        self._tokenizer = config.tokenizer()
        self._state = checkpoint.statistics.state
        self._actions = action_processor(
            config.state_names,
            config.action_names,
            config.action_kinds,
            checkpoint.statistics.action,
        )
        self._model = Nano(config.sizes)
        self._model.load_state_dict(checkpoint.weights)
        self._model.eval().requires_grad_(False)
        self._schedule = self._model.schedule(self._num_steps)
        self._device = torch.device("cpu")
        self._heard: tuple[bytes, Tensor] | None = None
        for camera in self._model.cameras:
            camera.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._spec = PolicySpec(
            name="nano",
            model_id=checkpoint.model_id,
            camera_keys=config.camera_keys,
            image_size=(config.sizes.image_height, config.sizes.image_width),
            state_names=config.state_names,
            action_names=config.action_names,
            horizon=config.sizes.horizon,
            contract=TimeContract.from_dict(config.time_contract),
            rtc="prefix" if config.rtc_max_delay else "guided",
            rtc_max_delay=config.rtc_max_delay or None,
        )

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._spec

    def to(self, device: torch.device) -> None:
        """Compute there from now on; noise is drawn on the CPU, so seeds mean the same anywhere."""
        self._device = device
        self._model.to(device)
        self._heard = None
        self._schedule = self._model.schedule(self._num_steps)

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A), absolute, SI.

        Raises:
            NanoPolicyError: An image or the state does not fit, or the answer is not finite.
            ProcessorError: The prompt is empty, too long or holds no known word.
        """
        observation = request.observation
        words = self._tokenizer.encode(request.prompt)
        images = self._images(observation.images)
        state = np.asarray(observation.state, np.float64)
        if state.shape != (len(self._spec.state_names),) or not np.isfinite(state).all():
            raise NanoPolicyError(
                f"State: expected {len(self._spec.state_names)} finite numbers "
                f"({', '.join(self._spec.state_names)}), got shape {state.shape}: {state}."
            )
        seed = request.seed if request.seed is not None else time.time_ns()
        agree = given_rows if self._spec.rtc == "prefix" else flow_guidance
        guidance = agree(
            request.guidance, self._spec, lambda plan: self._actions.apply(plan, state)
        )
        normal = self._run(images, self._state.apply(state), words, seed, guidance)
        actions = np.asarray(self._actions.invert(normal.astype(np.float64), state), np.float64)
        if not np.isfinite(actions).all():
            raise NanoPolicyError("The network's answer holds NaN or infinity; nothing is sent.")
        return actions

    def reset(self) -> None:
        """Nothing to forget: every chunk depends on its request alone."""

    def warm_up(self) -> None:
        """Run the network twice on blank input."""
        sizes = self._config.sizes
        images = np.zeros((sizes.cameras, sizes.image_height, sizes.image_width, 3), np.uint8)
        words = np.full(self._config.max_words, 1, np.int64)
        for _ in range(2):
            self._run(images, np.zeros(sizes.state_dim), words, 0)

    def close(self) -> None:
        """Nothing to free."""

    def _images(self, images: Mapping[str, npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        expected = (*self._spec.image_size, 3)
        stack = []
        for key in self._spec.camera_keys:
            image = images.get(key)
            got = "nothing" if image is None else f"{image.dtype} of shape {image.shape}"
            if image is None or image.shape != expected or image.dtype != np.uint8:
                raise NanoPolicyError(
                    f"Camera '{key}': expected uint8 of shape {expected}, got {got}. "
                    "The robot file's crop and size must be the checkpoint's."
                )
            stack.append(image)
        return np.stack(stack)

    def _run(
        self,
        images: npt.NDArray[np.uint8],
        state: npt.NDArray[Any],
        words: npt.NDArray[np.int64],
        seed: int,
        guidance: FlowGuidance | GivenRows | None = None,
    ) -> npt.NDArray[np.float32]:
        sizes, device = self._config.sizes, self._device
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(1, sizes.horizon, sizes.action_dim, generator=generator)
        with torch.no_grad():
            prefix = self._model.encode_heard(
                torch.from_numpy(images)[None].to(device),
                torch.from_numpy(np.asarray(state, np.float32))[None].to(device),
                self._instruction(words),
            )
            pull = None if guidance is None else guidance.to(device)
            chunk = self._model.sample(prefix, noise.to(device), self._schedule, pull)
            return chunk[0].cpu().numpy()

    def _instruction(self, words: npt.NDArray[np.int64]) -> Tensor:
        """What the words amount to; those of the last chunk are not read again."""
        if self._heard is None or self._heard[0] != words.tobytes():
            read = self._model.language(torch.from_numpy(words)[None].to(self._device))
            self._heard = words.tobytes(), read
        return self._heard[1]


def load(folder: Path, declaration: Declaration, *, threads: int | None) -> NanoPolicy:
    """Load a nano checkpoint, which declares everything about itself.

    Raises:
        NanoPolicyError: The declaration says something.
        CheckpointError: The folder cannot be used.
    """
    said = sorted(declaration.model_fields_set - {"checkpoint"})
    if said:
        raise NanoPolicyError(f"nano takes no declaration, got {said}; remove them.")
    return NanoPolicy(folder, threads=threads)
