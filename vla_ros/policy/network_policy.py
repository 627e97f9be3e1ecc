"""What policies over one network have in common: where it computes, and a run's first state."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import nn

from vla_ros.policy.first_look import FirstLook
from vla_ros.policy.protocol import PolicySpec

Network = TypeVar("Network", bound=nn.Module)


class NetworkPolicy(Generic[Network]):
    """All of a `MovablePolicy` but ``infer`` and ``warm_up``.

    Args:
        spec: What it needs and gives.
        model: The network with its weights, on the CPU.
    """

    def __init__(self, spec: PolicySpec, model: Network) -> None:
        self._spec = spec
        self._model = model
        self._device = torch.device("cpu")
        self._first = FirstLook(spec.state_names)

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._spec

    def to(self, device: torch.device) -> None:
        """Compute there from now on. Noise is drawn on the CPU, so seeds mean the same anywhere."""
        self._device = device
        self._model.to(device)

    def reset(self) -> None:
        """Look at the units of the next observation again."""
        self._first.reset()

    def close(self) -> None:
        """Nothing to free."""
