"""A flow model over a cached prefix behind the Policy protocol: pi0, pi0.5 and SmolVLA."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from vla_ros.errors import VlaError
from vla_ros.policy.first_look import checked_images, checked_state
from vla_ros.policy.guidance import flow_guidance, joint_guidance
from vla_ros.policy.models.flow import FlowGuidance
from vla_ros.policy.models.linear import prepare
from vla_ros.policy.models.prefix_expert import Prefix, PrefixExpert, PrefixInputs, Scene
from vla_ros.policy.models.recorded import Recorded
from vla_ros.policy.network_policy import NetworkPolicy
from vla_ros.policy.processors import Normaliser, RelativeActions, ZeroPadding
from vla_ros.policy.processors.letterbox import Letterbox
from vla_ros.policy.processors.prompt import Prompt
from vla_ros.policy.processors.tokens import TextTokenizer
from vla_ros.policy.protocol import PolicyRequest, PolicySpec


class FlowPolicyError(VlaError):
    """A number of steps that does not exist, or an answer that must not move a robot."""


@dataclass(frozen=True, kw_only=True)
class FlowProcessors:
    """Between the robot's numbers and the network's.

    Attributes:
        letterbox: For every camera.
        state: Robot's units -> network's.
        state_padding: To the network's size.
        prompt: Task and state -> text.
        tokenizer: Text -> numbers.
        contrast: Weight of classifier-free guidance towards the prompt's advantage; None: the
            prompt is said as it is, and that is all.
        action: Robot's units -> network's.
        action_padding: To the network's size.
        relative: Actions the network gives relative to the state.
    """

    letterbox: Letterbox
    state: Normaliser
    state_padding: ZeroPadding
    prompt: Prompt
    tokenizer: TextTokenizer
    contrast: float | None = None
    action: Normaliser
    action_padding: ZeroPadding
    relative: RelativeActions

    def inputs(
        self,
        images: list[npt.NDArray[np.uint8]],
        state: npt.NDArray[np.float32],
        task: str,
    ) -> PrefixInputs:
        """What the prefix is made of: a batch of one, without absent cameras or padding."""
        words = self._words(self.prompt, task, state)
        seen = np.stack([self.letterbox.apply(image) for image in images])
        padded = self.state_padding.apply(state)
        return PrefixInputs(
            images=torch.from_numpy(seen)[None],
            words=words,
            state=torch.from_numpy(padded)[None],
        )

    def contrasted(
        self, inputs: PrefixInputs, state: npt.NDArray[np.float32], task: str
    ) -> list[PrefixInputs]:
        """The inputs, and behind them the same without the advantage where they are contrasted."""
        if self.contrast is None:
            return [inputs]
        words = self._words(self.prompt.with_advantage(""), task, state)
        return [inputs, inputs._replace(words=words)]

    def _words(self, prompt: Prompt, task: str, state: npt.NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(self.tokenizer.encode(prompt.apply(task, state)))[None]

    def to_network(
        self, actions: npt.NDArray[np.float64], state: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """Absolute actions -> what the flow ends in. Shapes (T, A), (S,) -> (T, padded)."""
        normal = self.action.apply(self.relative.apply(actions, state))
        return self.action_padding.apply(normal).astype(np.float32)

    def to_robot(
        self, chunk: npt.NDArray[np.float32], state: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """What the flow ended in -> absolute actions. Shapes (T, padded), (S,) -> (T, A)."""
        actions = self.action.invert(self.action_padding.invert(chunk).astype(np.float64))
        return np.asarray(self.relative.invert(actions, state), np.float64)


def together(inputs: Sequence[PrefixInputs]) -> PrefixInputs:
    """Several batches of one as one batch; shorter texts are padded and masked. Alone: as it is."""
    if len(inputs) == 1:
        return inputs[0]
    words = [one.words[0] for one in inputs]
    said = [torch.ones_like(one, dtype=torch.bool) for one in words]
    return PrefixInputs(
        images=torch.cat([one.images for one in inputs]),
        words=pad_sequence(words, batch_first=True),
        state=torch.cat([one.state for one in inputs]),
        said=pad_sequence(said, batch_first=True),
    )


def words_in_steps(inputs: PrefixInputs, step: int = 16) -> PrefixInputs:
    """With padding behind the words, so that prompts have few different lengths."""
    count = inputs.words.shape[1]
    said = inputs.said
    if said is None:
        said = torch.ones_like(inputs.words, dtype=torch.bool)
    behind = (0, -count % step)
    return inputs._replace(
        words=functional.pad(inputs.words, behind), said=functional.pad(said, behind)
    )


class FlowPolicy(NetworkPolicy[PrefixExpert[Any]]):
    """Answers observations with chunks.

    Args:
        spec: What it needs and gives.
        model: The network, with its weights.
        processors: Around it.
        num_steps: Euler steps.
        threads: CPU threads of torch in this process; None leaves them as they are. With a seed,
            equal requests give bit-equal chunks as long as the number of threads is the same.
        cuda_graphs: On a GPU, chunks without guidance are CUDA graphs.
    """

    max_batch = 8
    """Most requests at once."""

    def __init__(
        self,
        spec: PolicySpec,
        model: PrefixExpert[Any],
        processors: FlowProcessors,
        *,
        num_steps: int,
        threads: int | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        if num_steps < 1:
            raise FlowPolicyError(f"num_steps: expected 1 or more, got {num_steps}")
        if threads is not None:
            torch.set_num_threads(threads)
        super().__init__(spec, model)
        self._processors = processors
        self._schedule = model.schedule(num_steps)
        self._cuda_graphs = cuda_graphs
        self._recorded: Recorded | None = None

    @property
    def state_in_words(self) -> bool:
        """Whether the state is part of the prompt, so that `look` would see it, too."""
        return self._model.state_in_words

    def to(self, device: torch.device) -> None:
        """Compute there from now on."""
        super().to(device)
        if device.type == "cpu":
            prepare(self._model)
        graphs = device.type == "cuda" and self._cuda_graphs
        self._recorded = Recorded(self._whole) if graphs else None
        self._schedule = self._model.schedule(len(self._schedule))

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A), absolute, SI.

        Raises:
            ObservationMismatch: An image or the state does not fit, or the first state of a run
                cannot be in the training data's units.
            GuidanceError: The guidance does not fit.
            FlowPolicyError: The answer is not finite.
            ProcessorError: The prompt is empty or too long.
        """
        return self.infer_batch([request])[0]

    def infer_batch(self, requests: Sequence[PolicyRequest]) -> list[npt.NDArray[np.float64]]:
        """One chunk for each request, within rounding the one that it gets alone. Shapes (T, A).

        Raises:
            GuidanceError: Their guidance differs in strength or Jacobian.
            VlaError: As `infer`, for any of them.
        """
        inputs = [self._asked(request) for request in requests]
        asked = together([one for group in zip(*inputs, strict=True) for one in group])
        with torch.no_grad():
            return self._answers(partial(self._chunks, self._there(asked)), requests)

    def look(self, request: PolicyRequest) -> Scene:
        """What images and prompt amount to, for `act`; the state has no part in it.

        Raises:
            VlaError: As `infer`.
        """
        with torch.no_grad():
            return self._model.look(self._there(together(self._asked(request))))

    def act(self, scene: Scene, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """The chunk for the state of a request and a scene of the same run. Shape (T, A).

        Raises:
            VlaError: As `infer`.
        """
        state = self._normal_state(request)
        padded = torch.from_numpy(self._processors.state_padding.apply(state))[None]
        padded = padded.expand(1 if self._processors.contrast is None else 2, -1)
        with torch.no_grad():
            prefix = self._model.feel(scene, padded.to(self._device))
            return self._answers(partial(self._sample, prefix), [request])[0]

    def warm_up(self) -> None:
        """Run the network once on blank input."""
        size, spec = self._spec.image_size, self._spec
        images = [np.zeros((*size, 3), np.uint8) for _ in spec.camera_keys]
        state = np.zeros(len(spec.state_names), np.float32)
        inputs = self._processors.inputs(images, state, "warm up")
        asked = together(self._processors.contrasted(inputs, state, "warm up"))
        with torch.no_grad():
            self._chunks(self._there(asked), self._noise(0), None)

    def _noise(self, seed: int | None) -> Tensor:
        generator = torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed)
        return torch.randn((1, self._model.horizon, self._model.action_dim), generator=generator)

    def _normal_state(self, request: PolicyRequest) -> npt.NDArray[np.float32]:
        state = checked_state(request.observation, self._spec)
        normal = self._processors.state.apply(state).astype(np.float32)
        self._first.check(normal)
        return normal

    def _asked(self, request: PolicyRequest) -> list[PrefixInputs]:
        """What the prefix of a request is made of; with a contrast there are two."""
        normal = self._normal_state(request)
        images = checked_images(request.observation, self._spec)
        inputs = self._processors.inputs(images, normal, request.prompt)
        return self._processors.contrasted(inputs, normal, request.prompt)

    def _there(self, inputs: PrefixInputs) -> PrefixInputs:
        return PrefixInputs._make(x if x is None else x.to(self._device) for x in inputs)

    def _answers(
        self,
        sample: Callable[[Tensor, FlowGuidance | None], npt.NDArray[np.float32]],
        requests: Sequence[PolicyRequest],
    ) -> list[npt.NDArray[np.float64]]:
        processors = self._processors
        states = [checked_state(request.observation, self._spec) for request in requests]
        guidances = [
            flow_guidance(request.guidance, self._spec, partial(processors.to_network, state=state))
            for request, state in zip(requests, states, strict=True)
        ]
        noise = torch.cat([self._noise(request.seed) for request in requests])
        chunks = sample(noise, joint_guidance(guidances))
        out = [processors.to_robot(c, s) for c, s in zip(chunks, states, strict=True)]
        if not all(np.isfinite(actions).all() for actions in out):
            raise FlowPolicyError("the network's answer holds NaN or infinity; nothing is sent")
        return out

    def _chunks(
        self, inputs: PrefixInputs, noise: Tensor, guidance: FlowGuidance | None
    ) -> npt.NDArray[np.float32]:
        """Shape (B, T, padded)."""
        if self._recorded is None or guidance is not None:
            return self._sample(self._model.encode(inputs), noise, guidance)
        chunk = self._recorded(noise.to(self._device), *words_in_steps(inputs))
        return chunk.cpu().numpy()

    def _whole(self, noise: Tensor, *inputs: Tensor) -> Tensor:
        prefix = self._model.encode(PrefixInputs(*inputs))
        contrast = self._processors.contrast
        return self._model.sample(prefix, noise, self._schedule, contrast=contrast)

    def _sample(
        self, prefix: Prefix, noise: Tensor, guidance: FlowGuidance | None
    ) -> npt.NDArray[np.float32]:
        """Shape (B, T, padded)."""
        device = self._device
        pull = None if guidance is None else guidance.to(device)
        chunk = self._model.sample(
            prefix, noise.to(device), self._schedule, pull, contrast=self._processors.contrast
        )
        return chunk.cpu().numpy()
