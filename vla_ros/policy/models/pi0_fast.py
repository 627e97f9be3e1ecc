"""pi0-FAST (arXiv 2501.09747): PaliGemma that says a chunk's FAST tokens one after the other.

The prefix (images, words) sees all of itself; a token that was said sees the prefix and what was
said before. Keys and values of all that lie in a cache, so a token costs one pass over itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vla_ros.errors import VlaError
from vla_ros.policy.models.gated import KeysValues, RmsNorm
from vla_ros.policy.models.paligemma import PaliGemma, PaliGemmaSizes
from vla_ros.policy.models.prefix_expert import PrefixInputs
from vla_ros.policy.models.rotary import rotary


class DecodingError(VlaError):
    """A model that said something else than a chunk."""


class Pi0Fast(PaliGemma):
    """The network. See the module's docstring."""

    def __init__(self, sizes: PaliGemmaSizes) -> None:
        super().__init__(sizes)
        self.norm = RmsNorm(sizes.language.width, sizes.language.eps)

    def read(
        self, tokens: Tensor, past: Sequence[KeysValues] = (), mask: Tensor | None = None
    ) -> tuple[Tensor, list[KeysValues]]:
        """Run tokens through the language model, behind those of ``past``.

        Args:
            tokens: Embedded. Shape (B, N, width).
            past: Keys and values of each layer over the P tokens before. Empty: none.
            mask: bool, Shape (N, P + N), True where a token may look. None: everywhere.

        Returns:
            What the language model makes of them, Shape (B, N, width), and keys and values of each
            layer over all P + N tokens.
        """
        before = past[0][0].shape[-2] if past else 0
        positions = before + torch.arange(tokens.shape[1], device=tokens.device)[None]
        at, x, cache = rotary(positions, self.head_size), tokens, []
        for layer, block in enumerate(self.language):
            known = past[layer] if past else None
            x, own = block(x, at, prefix=known, mask=mask)
            if known is not None:
                own = (torch.cat([known[0], own[0]], -2), torch.cat([known[1], own[1]], -2))
            cache.append(own)
        return x, cache

    def scores(self, x: Tensor) -> Tensor:
        """Of every word to come next. Shape (..., width) -> float32 (..., words)."""
        table = self.words.weight
        return functional.linear(self.norm(x).to(table.dtype), table).float()

    @torch.no_grad()
    def decode(
        self,
        inputs: PrefixInputs,
        *,
        stop: frozenset[int],
        longest: int,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> list[int]:
        """What the model says to a batch of one without padding, the stopping token left out.

        Args:
            inputs: What the prefix is made of.
            stop: Tokens that end it.
            longest: Most tokens.
            temperature: 0 takes the likeliest word each time; above, one is drawn.
            generator: On the CPU; what ``temperature`` draws with.

        Raises:
            DecodingError: It does not stop within ``longest`` tokens.
        """
        read, past = self.read(self.embed_prefix(inputs))
        said: list[int] = []
        while len(said) < longest:
            token = _choose(self.scores(read[0, -1]), temperature, generator)
            if token in stop:
                return said
            said.append(token)
            word = torch.tensor([[token]], device=read.device)
            read, past = self.read(self.embed_words(word), past)
        raise DecodingError(
            f"the model said {longest} tokens and did not end; nothing is sent. Was it trained on "
            "this robot, and are its statistics those of the data?"
        )

    def loss(self, inputs: PrefixInputs, answer: Tensor) -> Tensor:
        """Mean cross-entropy of the answer's words behind its first one.

        Args:
            inputs: Without padding.
            answer: int64, its first word is given and the rest is to be said. Shape (B, L).
        """
        prefix = self.embed_prefix(inputs)
        tokens = torch.cat([prefix, self.embed_words(answer[:, :-1])], dim=1)
        count, total = prefix.shape[1], tokens.shape[1]
        mask = torch.ones((total, total), dtype=torch.bool, device=tokens.device).tril()
        mask[:count, :count] = True
        read, _ = self.read(tokens, mask=mask)
        said = self.scores(read[:, count:])
        return functional.cross_entropy(said.flatten(0, 1), answer[:, 1:].flatten())


def _choose(scores: Tensor, temperature: float, generator: torch.Generator | None) -> int:
    if temperature == 0.0:
        return int(scores.argmax().cpu())
    chances = torch.softmax(scores / temperature, dim=-1).cpu()
    return int(torch.multinomial(chances, 1, generator=generator))
