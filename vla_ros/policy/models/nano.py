"""nano: a small flow-matching vision-language-action model, assembled from the shared parts.

    words -> instruction vector ---+--------- FiLM, two tokens, action tokens, readouts
    images -> encoder per camera --+-> prefix tokens -> 2 blocks -+-> keys/values -> PrefixCache
    state  -> one token -----------+                        |     |
                                                            +-> where is what -> grounding token
    noise (T, A), flow time (T,) -> action expert over [PrefixCache; action tokens] -> velocity

The grounding token says where the asked object and place are: the scene as the model reads it,
weighed with what the words ask for. At inference that is the model's own reading. In training the
true places can stand in for it, even without images: so the expert learns to act long before the
encoders have learned to see, and from frames that cost little.

Axis letters: B batch, K draws, T action rows, A action dim, S state dim, C cameras, H x W image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vla_ros.policy.models.attention import Block, PrefixCache
from vla_ros.policy.models.expert import ActionExpert, PrefixKeys
from vla_ros.policy.models.flow import FlowGuidance, GivenRows, euler_sample, euler_times
from vla_ros.policy.models.language import InstructionEncoder
from vla_ros.policy.models.vision import ImageEncoder, Look

PLACE = 5
"""What is said of an object or a bin: x y z, sine and cosine of its turn."""

GROUNDING = PLACE + 2
"""Size of the grounding: the asked object's place, the asked bin's x y."""


@dataclass(frozen=True, kw_only=True)
class NanoSizes:
    """Sizes of the network.

    Attributes:
        cameras: Number C of cameras.
        image_height: H in pixels, a multiple of 32.
        image_width: W in pixels, a multiple of 32.
        state_dim: S.
        action_dim: A.
        horizon: T.
        words: Size of the word table, padding and unknown included.
        objects: Number of things an instruction can ask for.
        bins: Number of places an instruction can name.
        width: Token size.
        heads: Attention heads.
        hidden: Hidden size of feed-forward parts.
        prefix_blocks: Transformer blocks over the prefix.
        expert_blocks: Transformer blocks of the action expert.
        channels: Channels of the three image stages.
        keypoints: Heat maps of each camera.
        word_width: Size of a word vector.
        instruction_width: Size of the instruction vector.
    """

    cameras: int
    image_height: int
    image_width: int
    state_dim: int
    action_dim: int
    horizon: int
    words: int
    objects: int
    bins: int
    width: int = 192
    heads: int = 4
    hidden: int = 384
    prefix_blocks: int = 2
    expert_blocks: int = 4
    channels: tuple[int, int, int] = (32, 64, 128)
    keypoints: int = 32
    word_width: int = 64
    instruction_width: int = 128


class Readings(NamedTuple):
    """What the auxiliary heads say; positions are normalised as ``scene`` of the statistics.

    Attributes:
        target: Where the asked object and bin are. Shape (B, GROUNDING).
        log_heat: Where each camera sees each place, as in `Look`. Shape (B, C, P, h * w).
        scene: Place of every object and bin. Shape (B, P, PLACE).
        object_logits: Which object the words ask for. Shape (B, objects).
        bin_logits: Which bin the words name. Shape (B, bins).
    """

    target: Tensor
    scene: Tensor
    log_heat: Tensor
    object_logits: Tensor
    bin_logits: Tensor


class Prefix(NamedTuple):
    """Everything an observation and an instruction amount to.

    Attributes:
        cache: Keys and values for the action expert.
        instruction: Shape (B, instruction_width).
        readings: What the auxiliary heads say; None where no images were given.
    """

    cache: PrefixCache
    instruction: Tensor
    readings: Readings | None


class Nano(nn.Module):
    """The network. See the module's docstring."""

    def __init__(self, sizes: NanoSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, said = sizes.width, sizes.instruction_width
        self.language = InstructionEncoder(words=sizes.words, width=sizes.word_width, out_dim=said)
        self.cameras = nn.ModuleList(
            ImageEncoder(
                height=sizes.image_height,
                width=sizes.image_width,
                channels=sizes.channels,
                keypoints=sizes.keypoints,
                landmarks=sizes.objects + sizes.bins,
                condition_dim=said,
                token_width=width,
            )
            for _ in range(sizes.cameras)
        )
        self.state_token = nn.Sequential(
            nn.Linear(sizes.state_dim, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.instruction_tokens = nn.Linear(said, 2 * width)
        self.grounding_token = nn.Sequential(
            nn.Linear(GROUNDING, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.readout = nn.Parameter(torch.randn(1, width) * 0.02)
        self.readout_instruction = nn.Linear(said, width)
        self.blocks = nn.ModuleList(
            Block(width, sizes.heads, sizes.hidden) for _ in range(sizes.prefix_blocks)
        )
        self.prefix_keys = PrefixKeys(width, width, sizes.heads, sizes.expert_blocks)
        self.expert = ActionExpert(
            action_dim=sizes.action_dim,
            horizon=sizes.horizon,
            condition_dim=said,
            width=width,
            heads=sizes.heads,
            hidden=sizes.hidden,
            layers=sizes.expert_blocks,
        )
        places = sizes.objects + sizes.bins
        seen = sizes.cameras * (3 + sizes.channels[0])
        self.scene_head = _head(width + sizes.state_dim + places + seen, width, PLACE)
        self.object_head = nn.Linear(said, sizes.objects)
        self.bin_head = nn.Linear(said, sizes.bins)

    def exact_modules(self) -> Iterator[nn.Module]:
        """Modules that stay float32 when the rest is bfloat16: words, state, inputs, heads."""
        yield from (self.language, self.state_token, self.grounding_token)
        yield from (self.expert.action_in, self.expert.action_out)
        yield from (self.scene_head, self.object_head, self.bin_head)
        for camera in self.cameras:
            yield camera.get_submodule("keypoint_token")

    def to_bfloat16(self) -> Nano:
        """Make all weights bfloat16 but those of ``exact_modules``; in place."""
        self.to(torch.bfloat16)
        for module in self.exact_modules():
            module.float()
        return self

    def encode(
        self,
        images: Tensor | None,
        state: Tensor,
        words: Tensor,
        grounding: Callable[[Tensor], Tensor] | Tensor | None = None,
    ) -> Prefix:
        """Compute what does not change while the flow is integrated.

        Args:
            images: uint8, Shape (B, C, H, W, 3), dataset space. None: act on ``grounding`` alone.
            state: float32, normalised. Shape (B, S).
            words: int64 word numbers, 0 is padding. Shape (B, L).
            grounding: What to take in place of the model's own reading of where the target is,
                Shape (B, GROUNDING), or a function of that reading.
        """
        return self.encode_heard(images, state, self.language(words), grounding)

    def encode_heard(
        self,
        images: Tensor | None,
        state: Tensor,
        instruction: Tensor,
        grounding: Callable[[Tensor], Tensor] | Tensor | None = None,
    ) -> Prefix:
        """As `encode`, with what ``language`` makes of the words. Shape (B, instruction_width)."""
        dtype = self.readout.dtype
        instruction = instruction.to(dtype)
        batch = len(state)
        tokens = [
            self.instruction_tokens(instruction).view(batch, 2, -1),
            self.state_token(state).to(dtype)[:, None],
        ]
        looks: list[Look] = []
        if images is not None:
            looks = [camera(images[:, i], instruction) for i, camera in enumerate(self.cameras)]
            tokens += [look.tokens for look in looks]
            tokens.append(self.readout + self.readout_instruction(instruction)[:, None])
        x = torch.cat(tokens, dim=1)
        for block in self.blocks:
            x = block(x)
        readings = None
        if images is not None:
            readings = self._read(looks, x[:, -1], state, instruction)
            if grounding is None:
                grounding = readings.target
            elif callable(grounding):
                grounding = grounding(readings.target)
        if not isinstance(grounding, Tensor):
            raise ValueError("Without images the grounding must be given as positions.")
        x = torch.cat([x, self.grounding_token(grounding).to(dtype)[:, None]], dim=1)
        return Prefix(self.prefix_keys(x), instruction, readings)

    def _read(
        self, looks: Sequence[Look], readout: Tensor, state: Tensor, instruction: Tensor
    ) -> Readings:
        """What the auxiliary heads make of looks and readout token. All float32."""
        said = instruction.float()
        objects, places = self.sizes.objects, self.sizes.objects + self.sizes.bins
        shared = torch.cat([readout.float(), state], dim=-1)[:, None].expand(-1, places, -1)
        names = torch.eye(places, device=state.device).expand(len(state), -1, -1)
        seen = [look.landmarks for look in looks]
        scene = self.scene_head(torch.cat([shared, names, *seen], dim=-1))
        object_logits, bin_logits = self.object_head(said), self.bin_head(said)
        asked = object_logits.softmax(dim=-1)[:, None] @ scene[:, :objects]
        place = bin_logits.softmax(dim=-1)[:, None] @ scene[:, objects:, :2]
        return Readings(
            target=torch.cat([asked, place], dim=-1)[:, 0],
            scene=scene,
            log_heat=torch.stack([look.log_heat[:, :places] for look in looks], dim=1),
            object_logits=object_logits,
            bin_logits=bin_logits,
        )

    def velocity(self, prefix: Prefix, noisy: Tensor, time: Tensor) -> Tensor:
        """Velocity of the flow. Shapes (B, K, T, A), (B, K, T) -> float32 (B, K, T, A)."""
        terms = self.expert.time_terms(time)
        out: Tensor = self.expert(noisy, terms, prefix.cache, prefix.instruction)
        return out

    @torch.no_grad()
    def schedule(self, num_steps: int) -> dict[float, Tensor]:
        """The time terms of every Euler step; good until the weights change."""
        device = self.readout.device
        return {
            time: self.expert.time_terms(torch.full((1, 1, 1), time, device=device))
            for time in euler_times(num_steps)
        }

    def sample(
        self,
        prefix: Prefix,
        noise: Tensor,
        schedule: Mapping[float, Tensor],
        guidance: FlowGuidance | GivenRows | None = None,
    ) -> Tensor:
        """Integrate normalised actions from noise. Shape (B, T, A) -> (B, T, A)."""

        def field(x: Tensor, time: float) -> Tensor:
            return self.expert(x[:, None], schedule[time], prefix.cache, prefix.instruction)[:, 0]

        if not isinstance(guidance, GivenRows):
            return euler_sample(field, noise, num_steps=len(schedule), guidance=guidance)
        rows = guidance
        clean = self.expert.time_terms(torch.zeros((1, 1, 1), device=noise.device))
        given = rows.given[:, None, :, None]
        mixed = {t: torch.where(given, clean, now) for t, now in schedule.items()}

        def around(x: Tensor, time: float) -> Tensor:
            x = rows.put_into(x)[:, None]
            return self.expert(x, mixed[time], prefix.cache, prefix.instruction)[:, 0]

        return rows.put_into(euler_sample(around, noise, num_steps=len(schedule)))


def _head(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.SiLU(),
        nn.LayerNorm(hidden),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, out),
    )
