"""A policy server by its address or its file: the client that speaks its protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vla_ros.errors import mistakes
from vla_ros.policy.protocol import Policy, PolicySpec
from vla_ros.policy.remote.errors import RemoteError
from vla_ros.policy.remote.files import (
    KINDS,
    GrootFile,
    KeysFile,
    LerobotFile,
    OpenpiFile,
    ServerFile,
    VlaFile,
)
from vla_ros.policy.remote.groot import GrootClient
from vla_ros.policy.remote.lerobot import STATE, LerobotClient, LerobotPolicy
from vla_ros.policy.remote.mapping import KeyMap
from vla_ros.policy.remote.openpi import OpenpiClient
from vla_ros.policy.remote.served import ServedPolicy
from vla_ros.spaces.time_contract import TimeContractError

TOKEN = "VLA_SERVE_TOKEN"
"""Environment variable with the token of a `vla serve`; tokens are never stored in files."""


def connect_served(uri: str) -> ServedPolicy:
    """The client of a `vla serve`; connects at once.

    Raises:
        RemoteError: No server, or it refuses.
        SchemaError: It is of another version, or not ours.
    """
    return ServedPolicy(uri, token=os.environ.get(TOKEN))


def load_served(path: Path, *, api_key: str | None = None) -> Policy:
    """Read a policy server's file. Only a `vla serve` is connected at once.

    Args:
        path: The YAML file.
        api_key: For servers that ask for one; never stored in the file.

    Raises:
        RemoteError: The file cannot be read, or a key is missing, unknown or of another type.
        MappingError: Its names do not fit together.
    """
    with _said(path):
        return _client(_read(path), path.parent, api_key)


def load_keys(path: Path, spec: PolicySpec) -> KeyMap:
    """Read the file that says what the clients of a `vla serve` call things.

    Raises:
        RemoteError: The file cannot be read, or a key is missing, unknown or of another type.
        MappingError: Its names are not the policy's.
    """
    with _said(path):
        file = KeysFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    keys = KeyMap(**dict(file))
    keys.check(spec)
    return keys


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Errors of a file in its name."""
    try:
        yield
    except OSError as error:
        raise RemoteError(f"policy file {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, TimeContractError) as error:
        raise RemoteError(f"policy file {path}: {error}") from error
    except ValidationError as error:
        raise RemoteError(f"policy file {path}: {mistakes(error)}") from error


def _read(path: Path) -> ServerFile:
    values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    protocol = values.get("protocol", "openpi") if isinstance(values, dict) else "openpi"
    kind = KINDS.get(str(protocol))
    if kind is None:
        raise RemoteError(
            f"policy file {path}: protocol is {protocol!r}, expected one of {', '.join(KINDS)}"
        )
    return kind.model_validate(values)


def _client(file: ServerFile, folder: Path, api_key: str | None) -> Policy:
    if isinstance(file, VlaFile):
        return ServedPolicy(
            file.uri,
            token=os.environ.get(TOKEN),
            authority=None if file.authority is None else folder / file.authority.expanduser(),
            jpeg_quality=file.jpeg_quality,
            connect_s=file.connect_s,
            infer_s=file.infer_s,
        )
    if isinstance(file, OpenpiFile):
        return _openpi(file, api_key)
    if isinstance(file, GrootFile):
        return _groot(file, api_key)
    return _lerobot(file)


def _openpi(file: OpenpiFile, api_key: str | None) -> OpenpiClient:
    keys = KeyMap(
        images=file.images,
        state=file.state,
        actions=file.actions,
        flipped=file.flipped,
        degrees=file.degrees,
        prompt=file.prompt,
        channels_first=file.channels_first,
    )
    return OpenpiClient(
        file.uri,
        file.spec("openpi"),
        keys,
        connect_s=file.connect_s,
        infer_s=file.infer_s,
        warm_up_s=file.warm_up_s,
        api_key=api_key,
    )


def _groot(file: GrootFile, api_key: str | None) -> GrootClient:
    keys = KeyMap(
        images=file.images,
        state=file.state,
        actions=tuple(name for names in file.actions.values() for name in names),
        flipped=file.flipped,
        degrees=file.degrees,
        prompt=file.prompt,
    )
    return GrootClient(
        file.address,
        file.spec("groot"),
        keys,
        {key: len(names) for key, names in file.actions.items()},
        layout=file.layout,
        infer_s=file.infer_s,
        warm_up_s=file.warm_up_s,
        api_token=api_key,
    )


def _lerobot(file: LerobotFile) -> LerobotClient:
    keys = KeyMap(
        images=file.images,
        state={STATE: file.state},
        actions=file.actions,
        flipped=file.flipped,
        degrees=file.degrees,
    )
    policy = LerobotPolicy(
        policy_type=file.policy_type,
        path=file.path,
        device=file.device,
        rename_map=file.rename_map,
    )
    return LerobotClient(
        file.address,
        file.spec("lerobot"),
        keys,
        policy,
        connect_s=file.connect_s,
        infer_s=file.infer_s,
        warm_up_s=file.warm_up_s,
    )
