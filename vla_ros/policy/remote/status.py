"""What a policy can tell of itself while it runs, for `/diagnostics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Reporting(Protocol):
    """A policy with something to tell, such as how far its server is."""

    def status(self) -> Mapping[str, str | int | float | bool]:
        """Keys with units, and values."""
        ...


def status_of(policy: object) -> Mapping[str, str | int | float | bool]:
    """What it tells; nothing where it has nothing to tell."""
    return policy.status() if isinstance(policy, Reporting) else {}
