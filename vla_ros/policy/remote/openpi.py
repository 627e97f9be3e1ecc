"""Any checkpoint served by openpi, as a policy of ours.

openpi's WebSocket protocol (https://github.com/Physical-Intelligence/openpi, ``serve_policy.py``):
on connection the server sends one msgpack map, its metadata. Then each request is one msgpack map
of observations and each answer one msgpack map with ``actions``; a text frame instead of a binary
one is the server's traceback, after which it closes. There are no request numbers, so an answer
that comes too late would be taken for that of the next request: after a time-out the connection is
dropped.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.policy.remote.mapping import KeyMap
from vla_ros.policy.remote.msgpack_numpy import packb, unpackb
from vla_ros.spaces.observation import Observation

MAX_ANSWER_BYTES = 64 * 2**20
CLOSE_S = 1.0


class RemoteError(VlaError):
    """The server is away, too slow, or answered with something else than actions."""


class OpenpiClient:
    """A policy that asks an openpi server.

    Args:
        uri: Where it listens, for example ``ws://192.168.1.5:8000``.
        spec: What the served checkpoint needs and gives, in the robot file's names.
        keys: What those names are called at the server.
        connect_s: Longest time to connect and receive the metadata, in [s].
        infer_s: Longest time for one answer, in [s].
        warm_up_s: Longest time for the first answer, in which the server compiles, in [s].
        api_key: Sent as ``Authorization: Api-Key ...`` where given.

    Raises:
        MappingError: The keys do not fit the spec.
    """

    def __init__(
        self,
        uri: str,
        spec: PolicySpec,
        keys: KeyMap,
        *,
        connect_s: float = 5.0,
        infer_s: float = 10.0,
        warm_up_s: float = 300.0,
        api_key: str | None = None,
    ) -> None:
        keys.check(spec)
        self._uri = uri
        self._spec = spec
        self._keys = keys
        self._connect_s = connect_s
        self._infer_s = infer_s
        self._warm_up_s = warm_up_s
        self._headers = {"Authorization": f"Api-Key {api_key}"} if api_key else None
        self._connection: ClientConnection | None = None
        self._open = ExitStack()
        self._metadata: dict[str, Any] = {}

    @property
    def spec(self) -> PolicySpec:
        """What the served checkpoint needs and gives."""
        return self._spec

    @property
    def metadata(self) -> dict[str, Any]:
        """What the server said about itself when the connection was made."""
        return self._metadata

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Ask the server for one chunk; reconnects once where the connection was lost.

        The server draws its own noise: the request's seed is not part of the protocol.

        Raises:
            RemoteError: No server, no answer in time, or the server failed.
            MappingError: The actions have another shape.
        """
        return self._infer(request, self._infer_s)

    def reset(self) -> None:
        """Nothing to forget: every request stands alone."""

    def warm_up(self) -> None:
        """Connect, and let the server compile with a blank observation."""
        height, width = self._spec.image_size
        blank = np.zeros((height, width, 3), dtype=np.uint8)
        observation = Observation(
            seq=0,
            t_obs_ns=0,
            start_ns=0,
            images=dict.fromkeys(self._spec.camera_keys, blank),
            image_stamps_ns=dict.fromkeys(self._spec.camera_keys, 0),
            state=np.zeros(len(self._spec.state_names)),
            state_stamp_ns=0,
            streams=(),
        )
        self._infer(PolicyRequest(observation=observation, prompt="warm up"), self._warm_up_s)

    def close(self) -> None:
        """Drop the connection."""
        self._connection = None
        self._open.close()

    def _infer(self, request: PolicyRequest, limit_s: float) -> npt.NDArray[np.float64]:
        deadline = time.monotonic() + limit_s
        message = packb(self._keys.encode(request, self._spec))
        answer = self._ask(message, deadline, limit_s)
        actions = answer.get("actions") if isinstance(answer, dict) else None
        if not isinstance(actions, np.ndarray):
            got = sorted(map(str, answer)) if isinstance(answer, dict) else type(answer).__name__
            raise RemoteError(
                f"{self._uri} answered without an array 'actions', got {got}; is this an openpi "
                "policy server?"
            )
        return self._keys.decode(actions, self._spec)

    def _ask(self, message: bytes, deadline: float, limit_s: float) -> Any:
        fresh = self._connection is None
        connection = self._connection or self._connect()
        try:
            connection.send(message)
            answer = connection.recv(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            self.close()
            raise RemoteError(
                f"{self._uri} did not answer within {limit_s:.1f} s; use a faster machine, a "
                "smaller model, or a longer limit"
            ) from None
        except ConnectionClosed as closed:
            self.close()
            if fresh:
                raise RemoteError(
                    f"{self._uri} closed the connection ({closed}); look at the server's output"
                ) from closed
            return self._ask(message, deadline, limit_s)
        if isinstance(answer, str):
            self.close()
            raise RemoteError(
                f"{self._uri} failed: {_last_line(answer)}; look at the server's output, and "
                "check the keys against its configuration"
            )
        return unpackb(answer)

    def _connect(self) -> ClientConnection:
        try:
            connection = self._open.enter_context(
                connect(
                    self._uri,
                    compression=None,
                    max_size=MAX_ANSWER_BYTES,
                    open_timeout=self._connect_s,
                    close_timeout=CLOSE_S,
                    additional_headers=self._headers,
                )
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise RemoteError(
                f"no openpi server at {self._uri} ({error}); start it (openpi: "
                "scripts/serve_policy.py) or correct the address"
            ) from error
        try:
            hello = connection.recv(timeout=self._connect_s)
        except (TimeoutError, ConnectionClosed) as error:
            self.close()
            raise RemoteError(
                f"{self._uri} sent no metadata within {self._connect_s:.1f} s, expected it first; "
                "is this an openpi policy server?"
            ) from error
        metadata = unpackb(hello) if isinstance(hello, bytes) else None
        if not isinstance(metadata, dict):
            self.close()
            raise RemoteError(
                f"{self._uri} began with {type(hello).__name__}, expected a map of metadata; "
                "is this an openpi policy server?"
            )
        self._metadata = metadata
        self._connection = connection
        return connection


def _last_line(traceback: str) -> str:
    lines = [line.strip() for line in traceback.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
