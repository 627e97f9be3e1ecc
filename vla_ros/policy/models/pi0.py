"""pi0 (arXiv 2410.24164) and pi0.5 (arXiv 2504.16054): PaliGemma and a Gemma action expert.

Prefix: each camera's SigLIP tokens, then the words, all seeing each other. pi0's state is a token
of the expert that sees the prefix and itself, so its keys and values are part of the prefix cache
here, too. The action tokens see all of that and each other. pi0 mixes the flow time into each
action token; pi0.5 lets it modulate the expert's norms, and reads the state as words.

The layout of weights and the constants are those of openpi (github.com/Physical-Intelligence/
openpi), whose conventions `flow` states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vla_ros.policy.models.attention import PrefixCache
from vla_ros.policy.models.expert import sincos_time
from vla_ros.policy.models.gated import GatedBlock, GatedSizes, Modulation, RmsNorm
from vla_ros.policy.models.paligemma import PaliGemma, PaliGemmaSizes
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


@dataclass(frozen=True, kw_only=True)
class Pi0Sizes(PaliGemmaSizes):
    """Sizes of the network.

    Attributes:
        expert: Action expert; layers, heads and head size are the language model's.
        state_dim: S, padding included.
        action_dim: A, padding included.
        horizon: T.
        adaptive: pi0.5: flow time modulates the expert's norms, and there is no state token.
    """

    expert: GatedSizes
    state_dim: int
    action_dim: int
    horizon: int
    adaptive: bool


class TimeTerms(NamedTuple):
    """What depends on flow time alone.

    Attributes:
        token: Time's part of the action tokens' mixture, pi0. Shape (B | 1, T | 1, F).
        blocks: Modulations of each block's two norms, pi0.5.
        last: Modulation of the last norm, pi0.5.
    """

    token: Tensor | None
    blocks: tuple[tuple[Modulation, Modulation], ...] | None
    last: Modulation | None


class Pi0(PrefixExpert[TimeTerms], PaliGemma):
    """The network. See the module's docstring."""

    def __init__(self, sizes: Pi0Sizes) -> None:
        super().__init__(sizes)
        self.sizes = sizes
        self.horizon, self.action_dim = sizes.horizon, sizes.action_dim
        self.state_in_words = sizes.adaptive
        expert = sizes.expert
        self.expert = nn.ModuleList(
            GatedBlock(expert, adaptive=sizes.adaptive) for _ in range(expert.layers)
        )
        self.norm = RmsNorm(expert.width, expert.eps, adaptive=sizes.adaptive)
        self.action_in = nn.Linear(sizes.action_dim, expert.width)
        self.action_out = nn.Linear(expert.width, sizes.action_dim)
        self.time_in = nn.Linear(expert.width, expert.width)
        self.time_out = nn.Linear(expert.width, expert.width)
        if sizes.adaptive:
            self.modulation = nn.Linear(expert.width, (2 * expert.layers + 1) * 3 * expert.width)
        else:
            self.state = nn.Linear(sizes.state_dim, expert.width)
            self.action_mix = nn.Linear(expert.width, expert.width, bias=False)

    def look(self, inputs: PrefixInputs) -> Scene:
        """Read images and words; the state of ``inputs`` has no meaning."""
        tokens = self.embed_prefix(inputs)
        valid = prefix_validity(inputs, self.sizes.vision.tokens, 0)
        positions = positions_of(valid, tokens.shape[1], tokens.device)
        mask = None if valid is None else valid[:, None, None]
        at = rotary(positions, self.sizes.language.head_size)
        read = read_prefix(self.language, tokens, at, mask)  # type: ignore[arg-type]
        return Scene(read=tuple(read), positions=positions, valid=valid)

    def feel(self, scene: Scene, state: Tensor) -> Prefix:
        """Add a state to a scene, which stays as it is. ``state``: Shape (B, S)."""
        read, positions, valid = list(scene.read), scene.positions, scene.valid
        head = self.sizes.language.head_size
        if not self.sizes.adaptive:
            at = rotary_behind(positions, 1, head)
            state = self.state(state.float())[:, None].to(read[0][0].dtype)
            valid = None if valid is None else functional.pad(valid, (0, 1), value=True)
            mask = None if valid is None else valid[:, None, None]
            for layer, block in enumerate(self.expert):
                state, own = block(state, at, prefix=read[layer], mask=mask)
                key, value = (
                    torch.cat(pair, dim=-2) for pair in zip(read[layer], own, strict=True)
                )
                read[layer] = key, value
            positions = torch.cat([positions, positions[:, -1:] + 1], dim=1)
        self_mask = None
        if valid is not None:
            self_mask = functional.pad(valid, (0, self.horizon), value=True)[:, None, None]
        return Prefix(
            cache=PrefixCache(
                keys=tuple(key for key, _ in read), values=tuple(value for _, value in read)
            ),
            action_rotary=rotary_behind(positions, self.horizon, head),
            self_mask=self_mask,
        )

    def time_terms(self, time: Tensor) -> TimeTerms:
        """What depends on flow time alone. ``time``: Shape (B | 1, T | 1)."""
        width = self.sizes.expert.width
        encoded = sincos_time(time, width)
        if not self.sizes.adaptive:
            return TimeTerms(self.time_in(encoded), None, None)
        condition = functional.silu(self.time_out(functional.silu(self.time_in(encoded))))
        parts = self.modulation(condition).float().split(width, dim=-1)
        norms = [Modulation(*parts[i : i + 3]) for i in range(0, len(parts), 3)]
        pairs = tuple(zip(norms[0:-1:2], norms[1:-1:2], strict=True))
        return TimeTerms(None, pairs, norms[-1])

    def embed_actions(self, noisy: Tensor, terms: TimeTerms) -> Tensor:
        """Action tokens. Shape (B, T, A) -> (B, T, F)."""
        tokens = self.action_in(noisy.float())
        if terms.token is not None:
            tokens = self.time_out(functional.silu(self.action_mix(tokens) + terms.token))
        return tokens

    def flow(self, prefix: Prefix, noisy: Tensor, terms: TimeTerms) -> Tensor:
        """Velocity at ``noisy``, Shape (B, T, A), and the time of ``terms``. Same shape."""
        x = self.embed_actions(noisy, terms).to(prefix.cache.keys[0].dtype)
        for layer, block in enumerate(self.expert):
            x, _ = block(
                x,
                prefix.action_rotary,
                prefix=(prefix.cache.keys[layer], prefix.cache.values[layer]),
                mask=prefix.self_mask,
                modulation=None if terms.blocks is None else terms.blocks[layer],
            )
        x = self.norm(x, terms.last)
        out: Tensor = self.action_out(x.float())
        return out
