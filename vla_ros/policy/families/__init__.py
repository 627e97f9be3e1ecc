"""Which module loads a checkpoint, by the ``type`` in its config.json.

A family is one line in `FAMILIES` and one module with

    def load(folder: Path, declaration: Declaration, *, threads: int | None) -> Policy

The module is imported when a checkpoint of its type is loaded, not before, so a family costs
nothing (no torch, no tokenizer) where it is not used.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.declaration import Declaration
from vla_ros.policy.protocol import Policy

FAMILIES: dict[str, str] = {
    "action_tokens": "vla_ros.policy.families.action_tokens",
    "act": "vla_ros.policy.families.act",
    "diffusion": "vla_ros.policy.families.diffusion",
    "groot": "vla_ros.policy.families.groot",
    "nano": "vla_ros.policy.families.nano",
    "openpi": "vla_ros.policy.families.pi0",
    "pi0": "vla_ros.policy.families.pi0",
    "pi05": "vla_ros.policy.families.pi0",
    "pi0_fast": "vla_ros.policy.families.pi0_fast",
    "smolvla": "vla_ros.policy.families.smolvla",
}
"""``type`` of config.json -> module with ``load``."""


class FamilyError(VlaError):
    """A folder that no known family can load."""


class Loader(Protocol):
    """What a family's module offers as ``load``."""

    def __call__(self, folder: Path, declaration: Declaration, *, threads: int | None) -> Policy:
        """Load the checkpoint in ``folder``; raises VlaError where it cannot be used."""
        ...


def family_of(folder: Path) -> str:
    """The ``type`` of the checkpoint in a folder.

    ``openpi`` where openpi's converter wrote it, ``action_tokens`` for a model of transformers.

    Raises:
        FamilyError: There is no readable config.json, or its type is unknown.
    """
    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FamilyError(
            f"'{folder}' holds no config.json, expected the folder of a checkpoint"
        ) from error
    except (OSError, ValueError) as error:
        raise FamilyError(f"'{path}' cannot be read ({error}); copy it again") from error
    family = config.get("type") if isinstance(config, dict) else None
    if isinstance(config, dict) and family is None and "paligemma_variant" in config:
        family = "openpi"
    elif isinstance(config, dict) and family is None and "model_type" in config:
        family = "action_tokens"
    if family not in FAMILIES:
        raise FamilyError(
            f"'{path}' says type {family!r}, expected one of {', '.join(sorted(FAMILIES))}"
        )
    return cast(str, family)


def load_family(folder: Path, declaration: Declaration, *, threads: int | None) -> Policy:
    """Load a checkpoint with the module of its family.

    Raises:
        FamilyError: No family knows the folder.
        VlaError: The family refuses the checkpoint; the text says why.
    """
    loader = cast(Loader, import_module(FAMILIES[family_of(folder)]).load)
    return loader(folder, declaration, threads=threads)
