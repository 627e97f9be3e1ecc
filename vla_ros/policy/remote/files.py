"""What can be written in a policy server's file. Which protocol it speaks decides what else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vla_ros.policy.protocol import PolicySpec
from vla_ros.policy.remote.errors import RemoteError
from vla_ros.spaces.time_contract import TimeContract

Name = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
WebSocketUri = Annotated[str, Field(pattern=r"^wss?://")]


class _File(BaseModel):
    """What every server's file has.

    Attributes:
        connect_s: Longest time to connect, in [s].
        infer_s: Longest time for an answer, in [s].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    connect_s: Seconds = 5.0
    infer_s: Seconds = 10.0


class VlaFile(_File):
    """A `vla serve`, where its address is not enough.

    Attributes:
        uri: Where it listens, ``ws://`` or ``wss://``.
        authority: PEM file of the certificate to trust; relative to this file.
        jpeg_quality: Send images as JPEG of this quality; None sends every pixel.
    """

    protocol: Literal["vla"]
    uri: WebSocketUri
    authority: Path | None = None
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] | None = None


class _DeclaredFile(_File):
    """A server that says nothing about names and timing.

    Attributes:
        model_id: Name of the served weights; travels in every chunk.
        image_size: Height and width of the images to send, those of the robot file, in [px].
        state_names: The robot file's state vector.
        action_names: The robot file's action vector.
        horizon: How many rows of an answer to use.
        time_contract: As in a checkpoint: when the rows are due.
        images: For each camera key the server's key.
        flipped: Action names whose value v means 1 - v at the server.
        degrees: State and action names that are degrees at the server.
        warm_up_s: Longest time for the first answer, in [s].
    """

    model_id: Name
    image_size: tuple[int, int]
    state_names: tuple[Name, ...]
    action_names: tuple[Name, ...]
    horizon: Annotated[int, Field(gt=0)]
    time_contract: dict[str, Any]
    images: dict[Name, Name]
    flipped: tuple[Name, ...] = ()
    degrees: tuple[Name, ...] = ()
    warm_up_s: Seconds = 300.0

    def spec(self, name: str) -> PolicySpec:
        """The declared policy.

        Raises:
            TimeContractError: The time contract is malformed.
            RemoteError: It lacks a camera.
        """
        contract = TimeContract.from_dict(self.time_contract)
        silent = [key for key in self.images if key not in contract.image_latency_ns]
        if silent:
            raise RemoteError(f"camera {', '.join(silent)} has no image_latency_s; declare it")
        return PolicySpec(
            name=name,
            model_id=self.model_id,
            camera_keys=tuple(self.images),
            image_size=self.image_size,
            state_names=self.state_names,
            action_names=self.action_names,
            horizon=self.horizon,
            contract=contract,
        )


class OpenpiFile(_DeclaredFile):
    """An openpi server.

    Attributes:
        uri: Where it listens, for example ``ws://192.168.1.5:8000``.
        state: For each of the server's keys the state names it takes, in order.
        actions: For each column of an answer our action name; empty where unused.
        prompt: The server's key of the prompt.
        channels_first: Send images as (3, H, W).
    """

    protocol: Literal["openpi"] = "openpi"
    uri: WebSocketUri
    state: dict[Name, tuple[Name, ...]]
    actions: tuple[str, ...]
    prompt: Name = "prompt"
    channels_first: bool = False


class GrootFile(_DeclaredFile):
    """A GR00T server.

    Attributes:
        address: Where it listens, for example ``tcp://192.168.1.5:5555``.
        layout: ``nested`` for N1.6 and newer, ``flat`` for N1.5.
        state: For each state key (``arm``) the state names it takes, in order.
        actions: For each action key our action names, in its columns' order; empty where unused.
        prompt: The language key.
    """

    protocol: Literal["groot"]
    address: Annotated[str, Field(pattern=r"^tcp://")]
    layout: Literal["nested", "flat"] = "nested"
    state: dict[Name, tuple[Name, ...]]
    actions: dict[Name, tuple[str, ...]]
    prompt: Name = "annotation.human.task_description"


class LerobotFile(_DeclaredFile):
    """LeRobot's server of asynchronous inference.

    Attributes:
        address: Where it listens, ``host:port``.
        allow_pickle: Must be true: LeRobot's messages are pickles. Ours are read without running
            anything; the server unpickles whatever anybody sends it.
        policy_type: LeRobot's name of the family, for example ``smolvla``.
        path: Folder of the checkpoint at the server, or its name on the hub.
        device: The server's device.
        rename_map: LeRobot's renaming of observation keys.
        state: Names in LeRobot's state vector, in its order.
        actions: For each column of an answer our action name; empty where unused.
    """

    protocol: Literal["lerobot"]
    address: Annotated[str, Field(pattern=r"^[^:/]+:\d+$")]
    allow_pickle: Literal[True]
    policy_type: Name
    path: Name
    device: Name = "cuda"
    rename_map: dict[Name, Name] = {}
    state: tuple[Name, ...]
    actions: tuple[str, ...]


class KeysFile(BaseModel):
    """What the clients of a `vla serve` call things, where it is not what the policy calls them.

    Attributes:
        images: For each camera of the policy the clients' key.
        state: For each of the clients' keys the state names it holds, in order.
        actions: For each column of an answer the action name; empty: a column of zeros.
        flipped: Action names whose value v means 1 - v at the clients.
        degrees: State and action names that are degrees at the clients.
        prompt: The clients' key of the prompt.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: dict[Name, Name]
    state: dict[Name, tuple[Name, ...]]
    actions: tuple[str, ...]
    flipped: tuple[Name, ...] = ()
    degrees: tuple[Name, ...] = ()
    prompt: Name = "prompt"


ServerFile = VlaFile | OpenpiFile | GrootFile | LerobotFile
KINDS: dict[str, type[ServerFile]] = {
    "vla": VlaFile,
    "openpi": OpenpiFile,
    "groot": GrootFile,
    "lerobot": LerobotFile,
}
