"""The nano checkpoint behind the Policy protocol."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.declaration import Declaration
from vla_ros.policy.checkpoints.nano import action_processor, load_nano
from vla_ros.policy.first_look import checked_state, sized_images
from vla_ros.policy.guidance import flow_guidance, given_rows, joint_guidance, joint_rows
from vla_ros.policy.models.flow import FlowGuidance, GivenRows
from vla_ros.policy.models.linear import inputs_first
from vla_ros.policy.models.nano import Nano
from vla_ros.policy.models.traced import WARM_UPS, Traced
from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.spaces.time_contract import TimeContract


class NanoPolicyError(VlaError):
    """A number of steps or a declaration that it does not take, or an answer that is not finite."""


class NanoPolicy:
    """Answers observations with chunks; float32.

    Args:
        folder: Checkpoint folder.
        num_steps: Euler steps; None: the checkpoint's own number.
        threads: CPU threads of torch in this process; None leaves them as they are. With a seed,
            equal requests give bit-equal chunks as long as the number of threads is the same.

    Raises:
        CheckpointError: The folder cannot be used.
    """

    max_batch = 8
    """Most requests at once."""

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
        self._traced = Traced(self._chunks)
        self._device = torch.device("cpu")
        self._heard: tuple[bytes, Tensor] | None = None
        for camera in self._model.cameras:
            camera.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        inputs_first(self._model)
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
        self._traced = Traced(self._chunks)

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A), absolute, SI.

        Raises:
            ObservationMismatch: An image or the state does not fit.
            GuidanceError: The guidance does not fit.
            NanoPolicyError: The answer is not finite.
            ProcessorError: The prompt is empty, too long or holds no known word.
        """
        return self.infer_batch([request])[0]

    def infer_batch(self, requests: Sequence[PolicyRequest]) -> list[npt.NDArray[np.float64]]:
        """One chunk for each request, within rounding the one that it gets alone. Shapes (T, A).

        Raises:
            GuidanceError: Their guidance differs in strength or Jacobian.
            VlaError: As `infer`, for any of them.
        """
        words = [self._tokenizer.encode(request.prompt) for request in requests]
        images = [sized_images(request.observation, self._spec) for request in requests]
        states = [checked_state(request.observation, self._spec) for request in requests]
        normal = self._run(
            np.array(images),
            np.stack([self._state.apply(state) for state in states]),
            words,
            torch.cat([self._noise(request.seed) for request in requests]),
            self._guidance(requests, states),
        )
        out = [
            np.asarray(self._actions.invert(chunk.astype(np.float64), state), np.float64)
            for chunk, state in zip(normal, states, strict=True)
        ]
        if not all(np.isfinite(actions).all() for actions in out):
            raise NanoPolicyError("The network's answer holds NaN or infinity; nothing is sent.")
        return out

    def reset(self) -> None:
        """Nothing to forget: every chunk depends on its request alone."""

    def warm_up(self) -> None:
        """Run the network on blank input until it has settled."""
        sizes = self._config.sizes
        images = np.zeros((1, sizes.cameras, sizes.image_height, sizes.image_width, 3), np.uint8)
        words = np.full(self._config.max_words, 1, np.int64)
        for _ in range(WARM_UPS):
            self._run(images, np.zeros((1, sizes.state_dim)), [words], self._noise(0))

    def close(self) -> None:
        """Nothing to free."""

    def _noise(self, seed: int | None) -> Tensor:
        sizes = self._config.sizes
        generator = torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed)
        return torch.randn(1, sizes.horizon, sizes.action_dim, generator=generator)

    def _guidance(
        self, requests: Sequence[PolicyRequest], states: Sequence[npt.NDArray[np.float64]]
    ) -> FlowGuidance | GivenRows | None:
        asked = [
            (request.guidance, self._spec, partial(self._actions.apply, state=state))
            for request, state in zip(requests, states, strict=True)
        ]
        if self._spec.rtc == "prefix":
            return joint_rows([given_rows(*one) for one in asked])
        return joint_guidance([flow_guidance(*one) for one in asked])

    @torch.no_grad()
    def _run(
        self,
        images: npt.NDArray[np.uint8],
        states: npt.NDArray[np.floating[Any]],
        words: Sequence[npt.NDArray[np.int64]],
        noise: Tensor,
        guidance: FlowGuidance | GivenRows | None = None,
    ) -> npt.NDArray[np.float32]:
        """Shapes (B, C, H, W, 3), (B, S), B of (L,), (B, T, A) -> (B, T, A)."""
        device = self._device
        inputs = (
            torch.from_numpy(images).to(device),
            torch.from_numpy(states.astype(np.float32)).to(device),
            torch.cat([self._instruction(said) for said in words]),
            noise.to(device),
        )
        if guidance is not None:
            chunks = self._chunks(*inputs, guidance.to(device))
        elif len(words) > 1 or device.type != "cpu":
            chunks = self._chunks(*inputs)
        else:
            chunks = self._traced(*inputs)
        return chunks.cpu().numpy()

    def _chunks(
        self,
        images: Tensor,
        states: Tensor,
        said: Tensor,
        noise: Tensor,
        guidance: FlowGuidance | GivenRows | None = None,
    ) -> Tensor:
        prefix = self._model.encode_heard(images, states, said)
        return self._model.sample(prefix, noise, self._schedule, guidance)

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
