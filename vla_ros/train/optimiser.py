"""AdamW on one flat float32 copy of the weights, with a running mean (EMA).

The network may hold bfloat16 weights: gradients are gathered into one float32 vector, averaged over
the processes in one message, clipped and applied to the float32 master, which is written back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class FlatAdamW:
    """The optimiser.

    Args:
        model: Network whose parameters are trained. Its weights at this moment are the start.
        weight_decay: Decoupled weight decay.
        clip: Largest gradient norm.
        ema_decay: Decay of the running mean.
        master: Start weights in float32 by name, where the network holds rounded ones.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        weight_decay: float,
        clip: float,
        ema_decay: float,
        master: Mapping[str, Tensor],
    ) -> None:
        self._names = [name for name, _ in model.named_parameters()]
        self._parameters = list(model.parameters())
        sizes = [p.numel() for p in self._parameters]
        device = self._parameters[0].device
        flat = torch.cat([master[name].reshape(-1).float() for name in self._names]).to(device)
        self._master = nn.Parameter(flat)
        self._message = torch.zeros(len(flat) + 1, device=device)
        self._master.grad = self._message[:-1]
        self._ema = flat.clone()
        self._parts = [
            part.view_as(p) for part, p in zip(flat.split(sizes), self._parameters, strict=True)
        ]
        self._grads = [
            part.view_as(p)
            for part, p in zip(self._message[:-1].split(sizes), self._parameters, strict=True)
        ]
        self._adam = torch.optim.AdamW(
            [self._master], lr=0.0, betas=(0.9, 0.999), weight_decay=weight_decay, fused=True
        )
        self._clip = clip
        self._ema_decay = ema_decay
        self._steps = 0

    @torch.no_grad()
    def step(self, lr: float, signal: float) -> tuple[float, float]:
        """Apply the gradients the network holds now, and forget them.

        Args:
            lr: Learning rate; equal on all processes.
            signal: A number of this process to be averaged with the gradients (progress).

        Returns:
            Gradient norm before clipping, mean signal over all processes.
        """
        torch._foreach_copy_(self._grads, _gradients(self._parameters))
        self._message[-1] = signal
        if dist.is_initialized():
            dist.all_reduce(self._message)
            self._message /= dist.get_world_size()
        grad = self._message[:-1]
        norm = float(grad.norm())
        if norm > self._clip:
            grad.mul_(self._clip / norm)
        self._adam.param_groups[0]["lr"] = lr
        self._adam.step()
        self._steps += 1
        decay = min(self._ema_decay, (1 + self._steps) / (10 + self._steps))
        self._ema.lerp_(self._master.detach(), 1.0 - decay)
        self.write_back()
        for parameter in self._parameters:
            parameter.grad = None
        return norm, float(self._message[-1])

    @torch.no_grad()
    def write_back(self) -> None:
        """Copy the master into the network."""
        torch._foreach_copy_([p.data for p in self._parameters], self._parts)

    def ema_weights(self) -> dict[str, Tensor]:
        """The running mean by parameter name."""
        parts = self._ema.split([p.numel() for p in self._parameters])
        named = zip(self._names, parts, self._parameters, strict=True)
        return {name: part.view_as(p) for name, part, p in named}

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "master": self._master.detach(),
            "ema": self._ema,
            "adam": self._adam.state_dict(),
            "steps": self._steps,
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict``."""
        self._master.copy_(state["master"])
        self._ema.copy_(state["ema"])
        self._adam.load_state_dict(state["adam"])
        self._steps = state["steps"]
        self.write_back()


def _gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    return [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
