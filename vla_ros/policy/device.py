"""Where a model computes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from vla_ros.errors import VlaError


class DeviceError(VlaError):
    """A device that is not there, or that a policy cannot use."""


@runtime_checkable
class MovablePolicy(Protocol):
    """A policy that can compute on another device than the CPU, where it was loaded."""

    def to(self, device: torch.device) -> None:
        """Compute there from now on."""
        ...


def find_device(name: str) -> torch.device:
    """A device by its name in torch; ``auto``: the first GPU, or the CPU where there is none.

    Raises:
        DeviceError: There is no such device here.
    """
    gpus = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda:0" if gpus else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device '{name}': expected auto, cpu, cuda or cuda:0, ...") from error
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise DeviceError(
            f"device '{name}': torch {torch.__version__} sees {gpus} GPUs here; is its build one "
            "for CUDA, and does nvidia-smi show the GPU?"
        )
    return device


def move(policy: object, device: torch.device) -> None:
    """Make a policy compute on a device.

    Raises:
        DeviceError: It computes on the CPU only.
    """
    if isinstance(policy, MovablePolicy):
        policy.to(device)
    elif device.type != "cpu":
        raise DeviceError(f"{type(policy).__name__} computes on the CPU only, got {device}")
