"""A policy by its name: a checkpoint folder, its declaration, or the file of a policy server."""

from __future__ import annotations

import os
from pathlib import Path

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.declaration import (
    Declaration,
    declaration_of,
    declares_checkpoint,
    read_declaration,
)
from vla_ros.policy.families import load_family
from vla_ros.policy.protocol import Policy


class PolicySourceError(VlaError):
    """What was named is no policy."""


def load_policy(source: str, *, threads: int | None = None, device: str = "cpu") -> Policy:
    """Load a policy from a checkpoint folder, or make the client of a policy server.

    Args:
        source: Folder of a checkpoint; YAML file that declares one (it has the key
            ``checkpoint``); address of a `vla serve` (``ws://...``); or YAML file of a policy
            server.
        threads: CPU threads of the model; None leaves them as they are.
        device: Where a checkpoint computes: ``auto``, ``cpu``, ``cuda``, ``cuda:0``, ...

    Raises:
        PolicySourceError: There is nothing there.
        DeviceError: There is no such device, or the policy cannot use it.
        VlaError: The checkpoint cannot be used; the text says why.
    """
    if source.startswith(("ws://", "wss://")):
        from vla_ros.policy.remote import connect_served

        return connect_served(source)
    path = Path(source).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if not declares_checkpoint(path):
            from vla_ros.policy.remote import load_served

            return load_served(path, api_key=os.environ.get("OPENPI_API_KEY"))
        declaration = read_declaration(path)
        folder = path.parent / Path(declaration.checkpoint or ".").expanduser()
        return _load(folder, declaration, source, threads, device)
    if not path.is_dir():
        raise PolicySourceError(
            f"policy '{source}': no such folder, expected a checkpoint folder with config.json, "
            "'expert', the address of a `vla serve`, or the YAML file of a policy server"
        )
    return _load(path, declaration_of(path), source, threads, device)


def _load(
    folder: Path, declaration: Declaration, source: str, threads: int | None, device: str
) -> Policy:
    from vla_ros.policy.device import find_device, move  # torch, which a client does without

    if not folder.is_dir():
        raise PolicySourceError(f"policy '{source}': its checkpoint '{folder}' is no folder")
    where = find_device(device)
    policy = load_family(folder, declaration, threads=threads)
    move(policy, where)
    return policy
