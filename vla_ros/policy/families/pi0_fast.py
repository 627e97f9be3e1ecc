"""pi0-FAST checkpoints from LeRobot behind the Policy protocol.

The model is given the prompt and one more ``<bos>``, as LeRobot does, and says ``Action: ``, FAST
tokens and ``|``. Anything else is a fault: where LeRobot cuts, fills with zeros or answers the mean
pose, nothing is sent here.

LeRobot's files name the action tokenizer but do not contain it: its ``tokenizer.json`` and
``processor_config.json`` (physical-intelligence/fast on the Hugging Face hub, or a fitted one) lie
in the folder ``fast`` of the checkpoint, or where ``options: {action_tokenizer: ...}`` says.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vla_ros.policy.checkpoints.declaration import Declaration, DeclarationError
from vla_ros.policy.checkpoints.layouts import CheckpointFolder, LayoutError, read_folder
from vla_ros.policy.checkpoints.vla_loading import (
    declared_sizes,
    load_weights,
    make_processors,
    make_spec,
    setting,
)
from vla_ros.policy.checkpoints.vla_options import Pi0FastOptions, options_as
from vla_ros.policy.checkpoints.weights import Part
from vla_ros.policy.families.pi0 import SO400M, TOKENIZER, WORDS, gemma_sizes
from vla_ros.policy.families.pi0_weights import (
    HEAD,
    LAST_NORM,
    TABLE,
    canonical,
    paligemma_parts,
)
from vla_ros.policy.first_look import checked_images, checked_state
from vla_ros.policy.flow_policy import FlowProcessors
from vla_ros.policy.models.fast import FastTokenizer, from_paligemma_ids, load_fast, paligemma_ids
from vla_ros.policy.models.linear import prepare
from vla_ros.policy.models.paligemma import PaliGemmaSizes
from vla_ros.policy.models.pi0_fast import DecodingError, Pi0Fast
from vla_ros.policy.models.prefix_expert import PrefixInputs
from vla_ros.policy.network_policy import NetworkPolicy
from vla_ros.policy.processors.letterbox import Letterbox
from vla_ros.policy.processors.prompt import StatePrompt
from vla_ros.policy.processors.tokens import TextTokenizer
from vla_ros.policy.protocol import PolicyRequest, PolicySpec

_SPEECH = "Action: "
_END = "|"


@dataclass(frozen=True, kw_only=True)
class ActionSpeech:
    """A chunk as the words the model says, and back.

    Attributes:
        fast: Chunk to FAST tokens.
        horizon: Rows T.
        action_dim: Elements A.
        begin: ``<bos>``, behind which the model speaks.
        opening: Words it begins with.
        ends: Words that end it: ``|`` and ``<eos>``.
        words: Size of the model's word table; FAST tokens lie at its end, last one first.
        skipped: Words behind them.
    """

    fast: FastTokenizer
    horizon: int
    action_dim: int
    begin: int
    opening: tuple[int, ...]
    ends: tuple[int, ...]
    words: int
    skipped: int

    def write(self, chunk: npt.NDArray[np.floating]) -> list[int]:
        """What the model should say, the closing ``|`` included. Shape (T, A) -> words.

        Raises:
            FastError: It is no such chunk.
        """
        said = paligemma_ids(self.fast.encode(chunk), self.words, self.skipped)
        return [*self.opening, *said, self.ends[0]]

    def read(self, said: Sequence[int]) -> npt.NDArray[np.float64]:
        """The chunk of what the model said before it ended. Shape (T, A).

        Raises:
            DecodingError: It does not begin as it should.
            FastError: It is no chunk.
        """
        opening = len(self.opening)
        if tuple(said[:opening]) != self.opening:
            raise DecodingError(
                f"the model began with the words {list(said[:opening])}, expected "
                f"{list(self.opening)} ('{_SPEECH}'); nothing is sent. Was it trained on actions, "
                "and is this its tokenizer?"
            )
        tokens = from_paligemma_ids(said[opening:], self.words, self.skipped)
        return self.fast.decode(tokens, horizon=self.horizon, action_dim=self.action_dim)


class Pi0FastPolicy(NetworkPolicy[Pi0Fast]):
    """Answers each observation with the chunk that the model says.

    Args:
        spec: What it needs and gives.
        model: The network, with its weights.
        processors: Around it.
        speech: Chunks as words.
        longest: Most words of an answer.
        temperature: 0 takes the likeliest word each time; above, a request's seed decides.
    """

    def __init__(
        self,
        spec: PolicySpec,
        model: Pi0Fast,
        processors: FlowProcessors,
        speech: ActionSpeech,
        *,
        longest: int,
        temperature: float,
    ) -> None:
        super().__init__(spec, model)
        self._processors = processors
        self._speech = speech
        self._longest = longest
        self._temperature = temperature

    def to(self, device: torch.device) -> None:
        """Compute there from now on."""
        super().to(device)
        if device.type == "cpu":
            prepare(self._model)

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A), absolute, SI.

        Raises:
            ObservationMismatch: The observation does not fit, or the first state of a run cannot
                be in the training data's units.
            ProcessorError: The prompt is empty or too long.
            DecodingError: What the model said does not end, or does not begin with an action.
            FastError: What it said is no chunk.
        """
        state = checked_state(request.observation, self._spec)
        normal = self._processors.state.apply(state).astype(np.float32)
        self._first.check(normal)
        images = checked_images(request.observation, self._spec)
        seed = secrets.randbits(63) if request.seed is None else request.seed
        said = self._model.decode(
            self.inputs(images, normal, request.prompt),
            stop=frozenset(self._speech.ends),
            longest=self._longest,
            temperature=self._temperature,
            generator=torch.Generator().manual_seed(seed),
        )
        return self._processors.to_robot(self._speech.read(said).astype(np.float32), state)

    def inputs(
        self, images: list[npt.NDArray[np.uint8]], state: npt.NDArray[np.float32], task: str
    ) -> PrefixInputs:
        """What the prefix is made of, on the model's device. ``state``: normalised, Shape (S,)."""
        inputs = self._processors.inputs(images, state, task)
        words = torch.nn.functional.pad(inputs.words, (0, 1), value=self._speech.begin)
        device = self._device
        return PrefixInputs(inputs.images.to(device), words.to(device), inputs.state.to(device))

    def warm_up(self) -> None:
        """Let the model say a few words about blank input."""
        spec = self._spec
        images = [np.zeros((*spec.image_size, 3), np.uint8) for _ in spec.camera_keys]
        inputs = self.inputs(images, np.zeros(len(spec.state_names), np.float32), "warm up")
        with suppress(DecodingError):  # it is not meant to end
            self._model.decode(inputs, stop=frozenset(), longest=4)


def pi0_fast_sizes(folder: CheckpointFolder, options: Pi0FastOptions) -> PaliGemmaSizes:
    """Sizes by the name in config.json, with the declared ones over them.

    Raises:
        DeclarationError: A name of a size or variant is unknown.
    """
    variant = setting(folder, "paligemma_variant", default="gemma_2b")
    return PaliGemmaSizes(
        vision=declared_sizes("vision", SO400M, options),
        language=gemma_sizes("language", variant, options),
        words=int(options.sizes.get("words", WORDS)),
    )


def load(folder: Path, declaration: Declaration, *, threads: int | None) -> Pi0FastPolicy:
    """Load a pi0-FAST checkpoint.

    Raises:
        VlaError: It is incomplete, damaged, of another size, or not declared well enough.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    options = options_as(Pi0FastOptions, declaration)
    files = read_folder(folder, quantiles=True)
    if files.layout != "lerobot":
        raise LayoutError(
            f"'{folder}': expected LeRobot's layout with policy_preprocessor.json; pi0-FAST is not "
            "published in another one for PyTorch"
        )
    sizes = pi0_fast_sizes(files, options)
    horizon = int(setting(files, "chunk_size"))
    spec = replace(make_spec("pi0_fast", files, declaration, horizon=horizon), rtc="none")
    actions = len(spec.action_names)
    network = load_weights(
        lambda: Pi0Fast(sizes),
        files,
        canonical,
        lambda have: {
            **paligemma_parts(sizes.vision.layers, sizes.language.layers, have),
            "norm.weight": Part((LAST_NORM,), plus=1.0),
        },
        lambda have: {HEAD} if TABLE in have else set(),
        options,
    )
    old_quirks = options.behaviour == "lerobot_0_4"
    state_dim = int(setting(files, "max_state_dim", default=32))
    processors = make_processors(
        files,
        declaration,
        options,
        spec,
        letterbox=Letterbox(
            height=sizes.vision.image,
            width=sizes.vision.image,
            resize=options.resize or "torch",
            border=-3.0 if old_quirks else -1.0,
        ),
        prompt=StatePrompt(state_dim, ending="\n"),
        action_dim=actions,
        state_dim=state_dim,
        words=sizes.words,
        tokenizer=TOKENIZER,
        longest=int(setting(files, "tokenizer_max_length", default=200)),
    )
    speech = _speech(files, options, processors.tokenizer, sizes.words, horizon, actions)
    temperature = options.temperature
    if temperature is None:
        temperature = float(files.config.get("temperature", 0.0))
    longest = int(setting(files, "max_decoding_steps", "max_action_tokens", default=256))
    return Pi0FastPolicy(
        spec, network, processors, speech, longest=longest, temperature=temperature
    )


def _speech(
    files: CheckpointFolder,
    options: Pi0FastOptions,
    text: TextTokenizer,
    words: int,
    horizon: int,
    actions: int,
) -> ActionSpeech:
    fast = load_fast(files.folder / Path(options.action_tokenizer).expanduser())
    sizes = (fast.horizon or horizon, fast.action_dim or actions)
    if sizes != (horizon, actions):
        raise DeclarationError(
            f"'{files.folder}': the action tokenizer is for chunks of {sizes}, the model's are "
            f"{(horizon, actions)}; bring the one it was trained with"
        )
    return ActionSpeech(
        fast=fast,
        horizon=horizon,
        action_dim=actions,
        begin=text.number("<bos>"),
        opening=text.plain(_SPEECH),
        ends=(*text.plain(_END), text.number("<eos>")),
        words=words,
        skipped=int(setting(files, "fast_skip_tokens", default=128)),
    )
