"""What pi0, pi0.5 and SmolVLA have in common: a language model's prefix, an expert that reads it.

    images, words (, state) -> language model -> keys and values of each layer, once per chunk
    noise, flow time -> expert over [prefix; action tokens], once per Euler step -> velocity

Everything that depends on the flow time alone (`TimeTerms`) is computed once per schedule, and
everything that depends on the prefix alone lies in the `Prefix`.

Axis letters: B batch, T action rows, A action dim, S state dim, C cameras, P prefix tokens,
L words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from vla_ros.policy.models.attention import PrefixCache
from vla_ros.policy.models.flow import FlowGuidance, euler_sample, euler_times
from vla_ros.policy.models.gated import GatedBlock, KeysValues
from vla_ros.policy.models.rotary import Rotary, rotary


class PrefixInputs(NamedTuple):
    """What a prefix is made of, preprocessed.

    Attributes:
        images: In [-1, 1], Shape (B, C, 3, H, W); absent cameras are best left out.
        words: int64, Shape (B, L).
        state: Normalised and zero-padded. Shape (B, S).
        present: bool, Shape (B, C), False where a camera is absent. None: all there.
        said: bool, Shape (B, L), False at padding. None: no padding.
    """

    images: Tensor
    words: Tensor
    state: Tensor
    present: Tensor | None = None
    said: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """Everything an observation and an instruction amount to.

    Attributes:
        cache: What each of the expert's layers reads.
        action_rotary: Angles of the T action tokens behind the prefix.
        cross_rotary: Their angles in layers that look at the prefix alone.
        self_mask: bool, where action tokens may look over [prefix; actions]. None: everywhere.
        cross_mask: bool, the same over the prefix alone. None: everywhere.
    """

    cache: PrefixCache
    action_rotary: Rotary
    cross_rotary: Rotary | None = None
    self_mask: Tensor | None = None
    cross_mask: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What was seen and said, without the state.

    Attributes:
        read: Keys and values of each of the language model's layers.
        positions: Of its tokens. Shape (B | 1, P).
        valid: bool, Shape (B, P), False at padding. None: no padding.
    """

    read: tuple[KeysValues, ...]
    positions: Tensor
    valid: Tensor | None


Terms = TypeVar("Terms")


class PrefixExpert(nn.Module, ABC, Generic[Terms]):
    """A flow model over a cached prefix. Subclasses name their parts.

    Attributes:
        horizon: Rows T of a chunk.
        action_dim: Columns A, padding included.
        state_in_words: The state is part of the words, so a scene without it does not exist.
    """

    horizon: int
    action_dim: int
    state_in_words: bool = False

    @abstractmethod
    def look(self, inputs: PrefixInputs) -> Scene:
        """Read images and words; the state of ``inputs`` has no meaning."""

    @abstractmethod
    def feel(self, scene: Scene, state: Tensor) -> Prefix:
        """Add a state to a scene, which stays as it is. ``state``: Shape (B, S)."""

    def encode(self, inputs: PrefixInputs) -> Prefix:
        """Compute what does not change while the flow is integrated."""
        return self.feel(self.look(inputs), inputs.state)

    @abstractmethod
    def time_terms(self, time: Tensor) -> Terms:
        """What depends on flow time alone. ``time``: Shape (B | 1, T | 1)."""

    @abstractmethod
    def flow(self, prefix: Prefix, noisy: Tensor, terms: Terms) -> Tensor:
        """Velocity at ``noisy``, Shape (B, T, A), and the time of ``terms``. Same shape."""

    def velocity(self, prefix: Prefix, noisy: Tensor, time: Tensor) -> Tensor:
        """Velocity of the flow, time per token. Shapes (B, T, A), (B, T) -> float32 (B, T, A)."""
        return self.flow(prefix, noisy, self.time_terms(time))

    @torch.no_grad()
    def schedule(self, num_steps: int) -> dict[float, Terms]:
        """The time terms of every Euler step; good until the weights change."""
        device = next(self.parameters()).device
        return {
            time: self.time_terms(torch.full((1, 1), time, device=device))
            for time in euler_times(num_steps)
        }

    def sample(
        self,
        prefix: Prefix,
        noise: Tensor,
        schedule: Mapping[float, Terms],
        guidance: FlowGuidance | None = None,
        *,
        contrast: float | None = None,
    ) -> Tensor:
        """Integrate normalised actions from noise.

        Args:
            prefix: What was seen and said.
            noise: Shape (B, T, A).
            schedule: Time terms of the steps.
            guidance: What the chunk should agree with.
            contrast: Weight w of classifier-free guidance (arXiv 2207.12598). The prefix is a batch
                of 2 B, with a condition and then without, and the velocity is
                ``without + w * (with - without)``, both from one pass. None: as it is.

        Returns:
            Shape (B, T, A).
        """

        def field(x: Tensor, time: float) -> Tensor:
            if contrast is None:
                return self.flow(prefix, x, schedule[time])
            told, untold = self.flow(prefix, torch.cat([x, x]), schedule[time]).chunk(2)
            return untold + contrast * (told - untold)

        return euler_sample(field, noise, num_steps=len(schedule), guidance=guidance)


def read_prefix(
    blocks: Sequence[GatedBlock],
    tokens: Tensor,
    at: Rotary,
    mask: Tensor | None,
    *,
    behind: Sequence[KeysValues] = (),
) -> list[KeysValues]:
    """Keys and values of every layer over the prefix tokens.

    The last layer's output is read by nobody, so it is not computed.

    Args:
        blocks: The language model.
        tokens: Shape (B, P, width).
        at: Angles of the tokens.
        mask: bool, Shape (B, 1, 1 | P, P), True where a token may look. None: everywhere.
        behind: Keys and values that were read before, which the tokens see, too.
    """
    out = []
    for layer, block in enumerate(blocks[:-1]):
        tokens, own = block(tokens, at, prefix=behind[layer] if behind else None, mask=mask)
        out.append(own)
    _, key, value = blocks[-1].attention.project(blocks[-1].norm1(tokens), at)  # type: ignore[operator]
    return [*out, (key, value)]


def prefix_validity(inputs: PrefixInputs, image_tokens: int, others: int) -> Tensor | None:
    """Which prefix tokens count. bool, Shape (B, P); None: all.

    Args:
        inputs: The inputs.
        image_tokens: Tokens per camera.
        others: Tokens behind the words, always there.
    """
    if inputs.present is None and inputs.said is None:
        return None
    batch, cameras = inputs.images.shape[:2]
    true = torch.ones((batch, 1), dtype=torch.bool, device=inputs.words.device)
    present = inputs.present if inputs.present is not None else true.expand(batch, cameras)
    said = inputs.said if inputs.said is not None else true.expand(inputs.words.shape)
    return torch.cat(
        [present.repeat_interleave(image_tokens, dim=1), said, true.expand(batch, others)], dim=1
    )


def positions_of(valid: Tensor | None, count: int, device: torch.device) -> Tensor:
    """Positions of the prefix tokens, padding not counted. Shape (B | 1, P)."""
    if valid is None:
        return torch.arange(count, device=device)[None]
    return valid.cumsum(dim=1) - 1


def rotary_behind(positions: Tensor, count: int, size: int) -> Rotary:
    """Angles of tokens that follow those at ``positions``, Shape (B | 1, P)."""
    first = positions[:, -1:] + 1
    return rotary(first + torch.arange(count, device=positions.device), size)
