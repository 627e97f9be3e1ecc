"""SmolVLA (arXiv 2506.01844): half of SmolVLM2 and an expert of self- and cross-attention.

Prefix: each camera's tokens (SigLIP, then 4 x 4 patches folded into one), the words, one state
token; images and words do not look at the state. In every other layer the action tokens look at
the prefix alone, through projections of the language model's keys and values; in the rest they
look at [prefix; themselves up to their own row].

The layout of weights and the constants are those of LeRobot (github.com/huggingface/lerobot).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_ros.policy.models.attention import PrefixCache
from vla_ros.policy.models.expert import sincos_time
from vla_ros.policy.models.gated import (
    CrossAttention,
    GatedBlock,
    GatedSizes,
    KeysValues,
    RmsNorm,
)
from vla_ros.policy.models.prefix_expert import (
    Prefix,
    PrefixExpert,
    PrefixInputs,
    Scene,
    positions_of,
    prefix_validity,
    read_prefix,
    rotary_behind,
)
from vla_ros.policy.models.rotary import rotary
from vla_ros.policy.models.siglip import Siglip, SiglipSizes


@dataclass(frozen=True, kw_only=True)
class SmolVlaSizes:
    """Sizes of the network.

    Attributes:
        vision: Image encoder.
        fold: Edge of the square of patches that become one token.
        language: Language model, only the layers that are used.
        expert: Action expert; layers, heads and head size are the language model's.
        self_every: Layers 0, n, 2 n, ... of the expert look at the action tokens, too.
        words: Size of the word table.
        state_dim: S, padding included.
        action_dim: A, padding included.
        horizon: T.
    """

    vision: SiglipSizes
    fold: int
    language: GatedSizes
    expert: GatedSizes
    self_every: int
    words: int
    state_dim: int
    action_dim: int
    horizon: int

    @property
    def image_tokens(self) -> int:
        """Tokens of one image."""
        return self.vision.tokens // self.fold**2


class SmolVla(PrefixExpert[Tensor]):
    """The network. See the module's docstring."""

    def __init__(self, sizes: SmolVlaSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.horizon, self.action_dim = sizes.horizon, sizes.action_dim
        language, expert = sizes.language, sizes.expert
        self.vision = Siglip(sizes.vision)
        self.project = nn.Linear(sizes.vision.width * sizes.fold**2, language.width, bias=False)
        self.words = nn.Embedding(sizes.words, language.width)
        self.state = nn.Linear(sizes.state_dim, language.width)
        self.language = nn.ModuleList(GatedBlock(language) for _ in range(language.layers))
        self.expert = nn.ModuleList(
            GatedBlock(expert, cross=layer % sizes.self_every != 0)
            for layer in range(expert.layers)
        )
        self.norm = RmsNorm(expert.width, expert.eps)
        self.action_in = nn.Linear(sizes.action_dim, expert.width)
        self.action_mix = nn.Linear(expert.width, expert.width, bias=False)
        self.time_in = nn.Linear(expert.width, expert.width)
        self.time_out = nn.Linear(expert.width, expert.width)
        self.action_out = nn.Linear(expert.width, sizes.action_dim)

    def image_tokens(self, images: Tensor) -> Tensor:
        """All cameras in one batch. Shape (B, C, 3, H, W) -> (B, C * tokens, width)."""
        batch = len(images)
        seen = self.vision(images.flatten(0, 1))
        fold, width = self.sizes.fold, self.sizes.vision.width
        edge = self.sizes.vision.image // self.sizes.vision.patch // fold
        # (image, row, row in fold, column, column in fold, width): a token takes rows first.
        seen = seen.view(-1, edge, fold, edge, fold, width).transpose(2, 3)
        tokens = self.project(seen.reshape(-1, edge * edge, fold * fold * width))
        return tokens.reshape(batch, -1, tokens.shape[-1])

    def embed_scene(self, inputs: PrefixInputs) -> Tensor:
        """Image tokens, words. Shape (B, P, width)."""
        dtype = self.vision.position.dtype
        words = self.words(inputs.words).to(dtype)
        seen = torch.cat([self.image_tokens(inputs.images.to(dtype)), words], dim=1)
        return seen * math.sqrt(self.sizes.language.width)

    def embed_state(self, state: Tensor) -> Tensor:
        """Shape (B, S) -> (B, 1, width)."""
        out: Tensor = self.state(state.float())[:, None]
        return out.to(self.vision.position.dtype)

    def embed_prefix(self, inputs: PrefixInputs) -> Tensor:
        """Image tokens, words, state. Shape (B, P, width)."""
        return torch.cat([self.embed_scene(inputs), self.embed_state(inputs.state)], dim=1)

    def look(self, inputs: PrefixInputs) -> Scene:
        """Read images and words; the state of ``inputs`` has no meaning."""
        tokens = self.embed_scene(inputs)
        valid = prefix_validity(inputs, self.sizes.image_tokens, 0)
        positions = positions_of(valid, tokens.shape[1], tokens.device)
        mask = None if valid is None else valid[:, None, None]
        at = rotary(positions, self.sizes.language.head_size)
        read = read_prefix(self.language, tokens, at, mask)  # type: ignore[arg-type]
        return Scene(read=tuple(read), positions=positions, valid=valid)

    def feel(self, scene: Scene, state: Tensor) -> Prefix:
        """Add a state to a scene, which stays as it is. ``state``: Shape (B, S)."""
        at = rotary_behind(scene.positions, 1, self.sizes.language.head_size)
        valid, mask = scene.valid, None
        if valid is not None:
            valid = functional.pad(valid, (0, 1), value=True)
            mask = valid[:, None, None]
        token = self.embed_state(state)
        own = read_prefix(self.language, token, at, mask, behind=scene.read)  # type: ignore[arg-type]
        read = [
            (torch.cat([before[0], new[0]], -2), torch.cat([before[1], new[1]], -2))
            for before, new in zip(scene.read, own, strict=True)
        ]
        positions = torch.cat([scene.positions, scene.positions[:, -1:] + 1], dim=1)
        return self._prefix(read, positions, valid)

    def encode(self, inputs: PrefixInputs) -> Prefix:
        """As `look` and `feel`, with the state in the same pass through the language model."""
        tokens = self.embed_prefix(inputs)
        count, head = tokens.shape[1], self.sizes.language.head_size
        valid = prefix_validity(inputs, self.sizes.image_tokens, 1)
        positions = positions_of(valid, count, tokens.device)
        # Nobody but the state itself, the last token, looks at the state.
        mask = torch.ones((count, count), dtype=torch.bool, device=tokens.device)
        mask[:-1, -1] = False
        mask = mask if valid is None else mask & valid[:, None, None]
        read = read_prefix(self.language, tokens, rotary(positions, head), mask)  # type: ignore[arg-type]
        return self._prefix(read, positions, valid)

    def _prefix(
        self, read: Sequence[KeysValues], positions: Tensor, valid: Tensor | None
    ) -> Prefix:
        """What the expert reads of the language model's keys and values, the state's included."""
        head, device, read = self.sizes.language.head_size, positions.device, list(read)
        for layer, block in enumerate(self.expert):
            if isinstance(block.attention, CrossAttention):
                read[layer] = block.attention.keys_values(read[layer])
        rows = torch.ones((self.horizon, self.horizon), dtype=torch.bool, device=device)
        behind = functional.pad(rows.tril(), (positions.shape[1], 0), value=True)
        if valid is not None:
            behind = behind & functional.pad(valid, (0, self.horizon), value=True)[:, None, None]
        own = torch.arange(self.horizon, device=device)[None]
        return Prefix(
            cache=PrefixCache(
                keys=tuple(key for key, _ in read), values=tuple(value for _, value in read)
            ),
            action_rotary=rotary_behind(positions, self.horizon, head),
            cross_rotary=rotary(own, head),
            self_mask=behind,
            cross_mask=None if valid is None else valid[:, None, None],
        )

    def time_terms(self, time: Tensor) -> Tensor:
        """Time's part of the action tokens' mixture. Shape (B | 1, T | 1) -> (..., F)."""
        out: Tensor = self.time_in(sincos_time(time, self.sizes.expert.width))
        return out

    def embed_actions(self, noisy: Tensor, terms: Tensor) -> Tensor:
        """Action tokens. Shape (B, T, A) -> (B, T, F)."""
        mixed = self.action_mix(self.action_in(noisy.float())) + terms
        out: Tensor = self.time_out(functional.silu(mixed))
        return out

    def flow(self, prefix: Prefix, noisy: Tensor, terms: Tensor) -> Tensor:
        """Velocity at ``noisy``, Shape (B, T, A), and the time of ``terms``. Same shape."""
        assert prefix.cross_rotary is not None  # `encode` made it
        x = self.embed_actions(noisy, terms).to(prefix.cache.keys[0].dtype)
        for layer, block in enumerate(self.expert):
            cross = isinstance(block.attention, CrossAttention)
            x, _ = block(
                x,
                prefix.cross_rotary if cross else prefix.action_rotary,
                prefix=(prefix.cache.keys[layer], prefix.cache.values[layer]),
                mask=prefix.cross_mask if cross else prefix.self_mask,
            )
        x = self.norm(x)
        out: Tensor = self.action_out(x.float())
        return out
