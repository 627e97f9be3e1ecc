"""A LeRobot policy server (asynchronous inference over gRPC) as a policy of ours.

LeRobot (https://github.com/huggingface/lerobot), ``lerobot/async_inference`` and
``lerobot/transport/services.proto``, 0.3 to 0.6: ``Ready``, ``SendPolicyInstructions`` with what to
load, then for each chunk ``SendObservations`` and ``GetActions``. The server loads and unloads
checkpoints as its one client says, and it unpickles what anybody sends: run it on a network that
nobody else is on. The messages have three fields in all, so they are written by hand.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.policy.remote.blank import blank_request
from vla_ros.policy.remote.errors import RemoteError
from vla_ros.policy.remote.mapping import KeyMap
from vla_ros.policy.remote.msgpack_numpy import WireError
from vla_ros.policy.remote.pickles import Instance, TimedAction, dumps, loads

HELPERS = "lerobot.async_inference.helpers"
PIECE_BYTES = 2 * 2**20
BEGIN, MIDDLE, END = 1, 2, 3
STATE = "observation.state"


@dataclass(frozen=True, kw_only=True)
class LerobotPolicy:
    """What the server shall load.

    Attributes:
        policy_type: LeRobot's name of the family, for example ``smolvla``.
        path: Folder at the server, or name on the hub.
        device: The server's device.
        rename_map: LeRobot's renaming of observation keys.
    """

    policy_type: str
    path: str
    device: str
    rename_map: Mapping[str, str]


class LerobotClient:
    """A policy that asks LeRobot's server.

    Args:
        address: Where it listens, ``host:port``.
        spec: What the checkpoint needs and gives, in the robot file's names.
        keys: For each camera LeRobot's name without ``observation.images.``; the state's one key
            is ``observation.state``; ``actions`` are the columns of an answer.
        policy: What the server shall load.
        connect_s: Longest time to connect, in [s].
        infer_s: Longest time for one answer, in [s].
        warm_up_s: Longest time to load the checkpoint, and for the first answer, in [s].

    Raises:
        RemoteError: grpcio is not installed.
        MappingError: The keys do not fit the spec.
    """

    def __init__(
        self,
        address: str,
        spec: PolicySpec,
        keys: KeyMap,
        policy: LerobotPolicy,
        *,
        connect_s: float = 5.0,
        infer_s: float = 10.0,
        warm_up_s: float = 300.0,
    ) -> None:
        try:
            grpc = importlib.import_module("grpc")
        except ModuleNotFoundError as error:
            raise RemoteError(
                "LeRobot's server is asked with grpcio, which is not installed; "
                "pip install -r requirements/remote.txt"
            ) from error
        keys.check(spec)
        self._grpc = grpc
        self._channel: Any = None
        self._address = address
        self._spec = spec
        self._keys = keys
        self._policy = policy
        self._connect_s = connect_s
        self._infer_s = infer_s
        self._warm_up_s = warm_up_s
        self._timestep = 0

    @property
    def spec(self) -> PolicySpec:
        """What the checkpoint needs and gives."""
        return self._spec

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Ask for one chunk. Shape (T, A). The server draws its own noise.

        Raises:
            RemoteError: No server, no answer in time, or the server failed.
            WireError: The answer is no action chunk.
            MappingError: The actions have another shape.
        """
        return self._infer(request, self._infer_s)

    def reset(self) -> None:
        """Nothing to forget: every observation is asked for anew (``must_go``)."""

    def warm_up(self) -> None:
        """Let the server load the checkpoint, and answer once."""
        self._set_up()
        self._infer(blank_request(self._spec), self._warm_up_s)

    def close(self) -> None:
        """Drop the connection; calling it twice is harmless."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _infer(self, request: PolicyRequest, limit_s: float) -> npt.NDArray[np.float64]:
        if self._channel is None:
            self._set_up()  # has limits of its own: a restarted server loads the checkpoint again
        deadline = time.monotonic() + limit_s
        self._timestep += 1
        try:
            self._call("SendObservations", _pieces(self._observation(request)), deadline)
            answer = self._call("GetActions", b"", deadline)
            rows = loads(_bytes_in(answer)) if answer else []
            if not rows:
                raise RemoteError(
                    f"{self._address} answered with no actions: its policy failed, or the server "
                    "was restarted; look at its output, and check names and sizes against its "
                    "configuration"
                )
            return self._keys.decode(self._rows(rows), self._spec)
        except VlaError:
            self.close()  # a restarted server has forgotten what to load: set it up again
            raise

    def _rows(self, rows: Any) -> npt.NDArray[Any]:
        actions = isinstance(rows, list) and all(
            isinstance(row, TimedAction) and isinstance(getattr(row, "action", None), np.ndarray)
            for row in rows
        )
        if not actions or len({row.action.shape for row in rows}) != 1:
            raise WireError(f"{self._address} answered with something else than actions")
        if getattr(rows[0], "timestep", None) != self._timestep:
            raise RemoteError(
                f"{self._address} answered for observation {getattr(rows[0], 'timestep', None)}, "
                f"expected {self._timestep}; does another robot use this server?"
            )
        return np.stack([row.action for row in rows])

    def _observation(self, request: PolicyRequest) -> bytes:
        values = self._keys.encode(request, self._spec)
        state = zip(self._keys.state[STATE], values["observation"]["state"].tolist(), strict=True)
        raw: dict[str, Any] = dict(state)
        raw |= {key: np.asarray(values[key]) for key in self._keys.images.values()}
        fields = {
            "timestamp": time.time(),
            "timestep": self._timestep,
            "observation": {**raw, "task": request.prompt},
            "must_go": True,
        }
        return dumps(Instance(HELPERS, "TimedObservation", fields))

    def _set_up(self) -> None:
        self.close()
        self._channel = self._grpc.insecure_channel(
            self._address,
            [
                ("grpc.max_receive_message_length", 64 * 2**20),
                ("grpc.use_local_subchannel_pool", 1),  # never the connection that was just lost
            ],
        )
        try:
            self._call("Ready", b"", time.monotonic() + self._connect_s)
            fields = {
                "policy_type": self._policy.policy_type,
                "pretrained_name_or_path": self._policy.path,
                "lerobot_features": self._features(),
                "actions_per_chunk": self._spec.horizon,
                "device": self._policy.device,
                "rename_map": dict(self._policy.rename_map),
            }
            setup = _field(1, dumps(Instance(HELPERS, "RemotePolicyConfig", fields)))
            self._call("SendPolicyInstructions", setup, time.monotonic() + self._warm_up_s)
        except RemoteError:
            self.close()
            raise

    def _features(self) -> dict[str, Any]:
        names = list(self._keys.state[STATE])
        features: dict[str, Any] = {
            STATE: {"dtype": "float32", "shape": (len(names),), "names": names}
        }
        for key in self._keys.images.values():
            features[f"observation.images.{key}"] = {
                "dtype": "image",
                "shape": (*self._spec.image_size, 3),
                "names": ["height", "width", "channels"],
            }
        return features

    def _call(self, method: str, message: bytes | Iterator[bytes], deadline: float) -> bytes:
        stream = not isinstance(message, bytes)
        kind = self._channel.stream_unary if stream else self._channel.unary_unary
        call = kind(f"/transport.AsyncInference/{method}")  # bytes in, bytes out
        try:
            answer = call(message, timeout=max(0.0, deadline - time.monotonic()))
        except self._grpc.RpcError as error:
            raise RemoteError(
                f"LeRobot's server at {self._address} failed in {method}: "
                f"{error.code().name.lower().replace('_', ' ')}: {error.details()}; start it with "
                "`python -m lerobot.async_inference.policy_server`, or look at its output"
            ) from error
        return bytes(answer)


def _pieces(data: bytes) -> Iterator[bytes]:
    """The messages ``Observation`` of one observation: {transfer_state = 1, data = 2}."""
    for start in range(0, len(data), PIECE_BYTES):
        piece = data[start : start + PIECE_BYTES]
        last = start + PIECE_BYTES >= len(data)
        state = END if last else BEGIN if start == 0 else MIDDLE
        yield bytes([1 << 3, state]) + _field(2, piece)


def _field(number: int, data: bytes) -> bytes:
    """One length-delimited field of a protocol buffer."""
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _bytes_in(message: bytes) -> bytes:
    """Field 1 of the message ``Actions``.

    Raises:
        WireError: The message is something else.
    """
    length, shift = 0, 0
    for at in range(1, min(len(message), 6)):
        length |= (message[at] & 0x7F) << shift
        shift += 7
        if message[at] < 0x80:
            if message[0] == 1 << 3 | 2 and len(message) == at + 1 + length:
                return message[at + 1 :]
            break
    raise WireError(f"{len(message)} bytes are no answer of LeRobot's server")
