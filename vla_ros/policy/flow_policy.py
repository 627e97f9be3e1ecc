"""A flow model over a cached prefix behind the Policy protocol: pi0, pi0.5 and SmolVLA."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vla_ros.errors import VlaError
from vla_ros.policy.guidance import flow_guidance
from vla_ros.policy.models.prefix_expert import PrefixExpert, PrefixInputs
from vla_ros.policy.processors import Normaliser, RelativeActions, ZeroPadding
from vla_ros.policy.processors.letterbox import Letterbox
from vla_ros.policy.processors.prompt import Prompt
from vla_ros.policy.processors.tokens import TextTokenizer
from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.spaces.observation import Observation

_LOGGER = logging.getLogger(__name__)

LOUD_SIGMA = 6.0
"""First observations this far out are warned of."""

ABSURD_SIGMA = 30.0
"""First observations this far out are refused: these are other units."""


class FlowPolicyError(VlaError):
    """A request that does not fit the checkpoint, or an answer that must not move a robot."""


@dataclass(frozen=True, kw_only=True)
class FlowProcessors:
    """Between the robot's numbers and the network's.

    Attributes:
        letterbox: For every camera.
        state: Robot's units -> network's.
        state_padding: To the network's size.
        prompt: Task and state -> text.
        tokenizer: Text -> numbers.
        action: Robot's units -> network's.
        action_padding: To the network's size.
        relative: Actions the network gives relative to the state.
    """

    letterbox: Letterbox
    state: Normaliser
    state_padding: ZeroPadding
    prompt: Prompt
    tokenizer: TextTokenizer
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
        words = self.tokenizer.encode(self.prompt.apply(task, state))
        seen = np.stack([self.letterbox.apply(image) for image in images])
        padded = self.state_padding.apply(state)
        return PrefixInputs(
            images=torch.from_numpy(seen)[None],
            words=torch.from_numpy(words)[None],
            state=torch.from_numpy(padded)[None],
        )

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


class FlowPolicy:
    """Answers observations with chunks, one at a time.

    Args:
        spec: What it needs and gives.
        model: The network, with its weights.
        processors: Around it.
        num_steps: Euler steps.
        threads: CPU threads of torch in this process; None leaves them as they are. With a seed,
            equal requests give bit-equal chunks as long as the number of threads is the same.
    """

    def __init__(
        self,
        spec: PolicySpec,
        model: PrefixExpert[Any],
        processors: FlowProcessors,
        *,
        num_steps: int,
        threads: int | None = None,
    ) -> None:
        if num_steps < 1:
            raise FlowPolicyError(f"num_steps: expected 1 or more, got {num_steps}")
        if threads is not None:
            torch.set_num_threads(threads)
        self._spec = spec
        self._model = model
        self._processors = processors
        self._schedule = model.schedule(num_steps)
        self._looked = False

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._spec

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A), absolute, SI.

        Raises:
            FlowPolicyError: An image, the state or the guidance does not fit, the first state of
                a run cannot be in the training data's units, or the answer is not finite.
            ProcessorError: The prompt is empty or too long.
        """
        observation, processors = request.observation, self._processors
        state = self._checked_state(observation)
        normal = processors.state.apply(state).astype(np.float32)
        self._look(normal)
        inputs = processors.inputs(self._checked_images(observation.images), normal, request.prompt)
        seed = request.seed if request.seed is not None else secrets.randbits(63)
        noise = torch.randn(
            (1, self._model.horizon, self._model.action_dim),
            generator=torch.Generator().manual_seed(seed),
        )
        with torch.no_grad():
            prefix = self._model.encode(inputs)
            guidance = flow_guidance(
                request.guidance, self._spec, lambda plan: processors.to_network(plan, state)
            )
            chunk = self._model.sample(prefix, noise, self._schedule, guidance)[0].numpy()
        actions = processors.to_robot(chunk, state)
        if not np.isfinite(actions).all():
            raise FlowPolicyError("the network's answer holds NaN or infinity; nothing is sent")
        return actions

    def reset(self) -> None:
        """Look at the units of the next observation again."""
        self._looked = False

    def warm_up(self) -> None:
        """Run the network once on blank input."""
        size, spec = self._spec.image_size, self._spec
        images = [np.zeros((*size, 3), np.uint8) for _ in spec.camera_keys]
        state = np.zeros(len(spec.state_names), np.float32)
        with torch.no_grad():
            prefix = self._model.encode(self._processors.inputs(images, state, "warm up"))
            noise = torch.zeros((1, self._model.horizon, self._model.action_dim))
            self._model.sample(prefix, noise, self._schedule)

    def close(self) -> None:
        """Nothing to free."""

    def _checked_state(self, observation: Observation) -> npt.NDArray[np.float64]:
        state = np.asarray(observation.state, np.float64)
        names = self._spec.state_names
        if state.shape != (len(names),) or not np.isfinite(state).all():
            raise FlowPolicyError(
                f"state: expected {len(names)} finite numbers ({', '.join(names)}), got shape "
                f"{state.shape}: {state}"
            )
        return state

    def _checked_images(
        self, images: Mapping[str, npt.NDArray[np.uint8]]
    ) -> list[npt.NDArray[np.uint8]]:
        missing = [key for key in self._spec.camera_keys if key not in images]
        if missing:
            raise FlowPolicyError(
                f"camera {', '.join(missing)}: no image; expected {list(self._spec.camera_keys)}, "
                f"got {list(images)}"
            )
        return [images[key] for key in self._spec.camera_keys]

    def _look(self, normal: npt.NDArray[np.float32]) -> None:
        """Whether a run's first state can be in the training data's units."""
        if self._looked:
            return
        far = np.abs(normal)
        worst = int(far.argmax())
        text = (
            f"state '{self._spec.state_names[worst]}' is {far[worst]:.1f} deviations from the "
            "training data"
        )
        if far[worst] > ABSURD_SIGMA:
            raise FlowPolicyError(
                f"{text}; are its units (rad or degrees, m or mm) and the names' order those of "
                "the training data?"
            )
        if far[worst] > LOUD_SIGMA:
            _LOGGER.warning("%s: check units and order", text)
        self._looked = True
