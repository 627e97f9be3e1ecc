"""A policy by its name: a checkpoint folder, or the file of a policy server."""

from __future__ import annotations

import os
from pathlib import Path

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Policy


class PolicySourceError(VlaError):
    """What was named is no policy."""


def load_policy(source: str, *, threads: int | None = None) -> Policy:
    """Load a policy from a checkpoint folder, or make the client of a policy server.

    Args:
        source: Folder of a checkpoint, or YAML file of a policy server.
        threads: CPU threads of the model; None leaves them as they are.

    Raises:
        PolicySourceError: There is nothing there.
        VlaError: The checkpoint cannot be used; the text says why.
    """
    folder = Path(source).expanduser()
    if folder.suffix in (".yaml", ".yml"):
        from vla_ros.policy.remote import load_served

        return load_served(folder, api_key=os.environ.get("OPENPI_API_KEY"))
    if not folder.is_dir():
        raise PolicySourceError(
            f"policy '{source}': no such folder, expected a checkpoint folder with config.json, "
            "'expert', or the YAML file of a policy server"
        )
    from vla_ros.policy.nano_policy import NanoPolicy

    return NanoPolicy(folder, threads=threads)
