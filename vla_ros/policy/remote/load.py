"""A served checkpoint, described by a file: where it is, what it is called, when its actions act.

openpi's server says nothing of this about itself, so it is declared once, beside the robot file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vla_ros.policy.protocol import PolicySpec
from vla_ros.policy.remote.errors import RemoteError
from vla_ros.policy.remote.mapping import KeyMap
from vla_ros.policy.remote.openpi import OpenpiClient
from vla_ros.spaces.time_contract import TimeContract, TimeContractError

Name = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ServedFile(BaseModel):
    """A policy server's file.

    Attributes:
        uri: Where it listens, for example ``ws://192.168.1.5:8000``.
        model_id: Name of the served weights; travels in every chunk.
        image_size: Height and width of the images to send, those of the robot file, in [px].
        state_names: The robot file's state vector.
        action_names: The robot file's action vector.
        horizon: How many rows of an answer to use.
        time_contract: As in a checkpoint: when the rows are due.
        images: For each camera key the server's key.
        state: For each of the server's keys the state names it takes, in order.
        actions: For each column of an answer our action name; empty where unused.
        flipped: Action names whose value v means 1 - v at the server.
        prompt: The server's key of the prompt.
        channels_first: Send images as (3, H, W).
        connect_s: Longest time to connect, in [s].
        infer_s: Longest time for an answer, in [s].
        warm_up_s: Longest time for the first answer, in [s].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: Annotated[str, Field(pattern=r"^wss?://")]
    model_id: Name
    image_size: tuple[int, int]
    state_names: tuple[Name, ...]
    action_names: tuple[Name, ...]
    horizon: Annotated[int, Field(gt=0)]
    time_contract: dict[str, Any]
    images: dict[Name, Name]
    state: dict[Name, tuple[Name, ...]]
    actions: tuple[str, ...]
    flipped: tuple[Name, ...] = ()
    prompt: Name = "prompt"
    channels_first: bool = False
    connect_s: Seconds = 5.0
    infer_s: Seconds = 10.0
    warm_up_s: Seconds = 300.0


def load_served(path: Path, *, api_key: str | None = None) -> OpenpiClient:
    """Read a policy server's file. Nothing is connected yet.

    Args:
        path: The YAML file.
        api_key: For servers that ask for one; never stored in the file.

    Raises:
        RemoteError: The file cannot be read, or a key is missing, unknown or of another type.
        MappingError: Its names do not fit together.
    """
    try:
        file = ServedFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        contract = TimeContract.from_dict(file.time_contract)
    except OSError as error:
        raise RemoteError(f"policy file {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, TimeContractError) as error:
        raise RemoteError(f"policy file {path}: {error}") from error
    except ValidationError as error:
        parts = [
            f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise RemoteError(f"policy file {path}: {'; '.join(parts)}") from error
    silent = [key for key in file.images if key not in contract.image_latency_ns]
    if silent:
        raise RemoteError(
            f"policy file {path}: camera {', '.join(silent)} has no image_latency_s; declare it"
        )
    spec = PolicySpec(
        name="openpi",
        model_id=file.model_id,
        camera_keys=tuple(file.images),
        image_size=file.image_size,
        state_names=file.state_names,
        action_names=file.action_names,
        horizon=file.horizon,
        contract=contract,
    )
    keys = KeyMap(
        images=file.images,
        state=file.state,
        actions=file.actions,
        flipped=file.flipped,
        prompt=file.prompt,
        channels_first=file.channels_first,
    )
    return OpenpiClient(
        file.uri,
        spec,
        keys,
        connect_s=file.connect_s,
        infer_s=file.infer_s,
        warm_up_s=file.warm_up_s,
        api_key=api_key,
    )
