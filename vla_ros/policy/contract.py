"""The time contract of a policy by the policy's name, without loading the policy."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from vla_ros.policy.checkpoints.declaration import (
    declaration_of,
    declares_checkpoint,
    read_declaration,
)
from vla_ros.spaces.time_contract import TimeContract, TimeContractError

AT_CAPTURE = ("", "expert")
"""Sources whose contract is that of this package's own recordings."""


def contract_of(source: str, cameras: Sequence[str]) -> TimeContract:
    """The time contract under which a policy must be given its observations.

    Args:
        source: As for ``load_policy``; 'expert' or empty: everything at capture. A policy server
            is asked.
        cameras: The robot file's camera keys.

    Raises:
        TimeContractError: There is none, or it cannot be read.
        VlaError: The declaration or the server says why not.
    """
    if source in AT_CAPTURE:
        return TimeContract.at_capture(cameras)
    if source.startswith(("ws://", "wss://")):
        from vla_ros.policy.remote import connect_served

        return connect_served(source).spec.contract
    path = Path(source).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if not declares_checkpoint(path):
            from vla_ros.policy.remote import load_served

            return load_served(path, api_key=os.environ.get("OPENPI_API_KEY")).spec.contract
        return read_declaration(path).contract(cameras)
    written = _written(path / "config.json")
    return written if written is not None else declaration_of(path).contract(cameras)


def _written(config: Path) -> TimeContract | None:
    """What the checkpoint itself says; None where it says nothing."""
    try:
        written = json.loads(config.read_text(encoding="utf-8")).get("time_contract")
        return None if written is None else TimeContract.from_dict(written)
    except (OSError, ValueError) as error:
        raise TimeContractError(
            f"time contract of '{config.parent}': {error}; expected a checkpoint folder with "
            "config.json"
        ) from error
