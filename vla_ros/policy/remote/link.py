"""A WebSocket on which each question gets one answer, in time or not at all.

openpi's protocol has no request numbers, so an answer that comes too late would be taken for that
of the next question: after a time-out, or anything unexpected, the connection is dropped. Messages
are the server's metadata first, then one msgpack map for each of ours; a text message instead is
the reason why there is none.
"""

from __future__ import annotations

import math
import socket
import ssl
import struct
import time
from contextlib import ExitStack, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from vla_ros.policy.remote.errors import RemoteError
from vla_ros.policy.remote.msgpack_numpy import WireError, packb, unpackb

MAX_ANSWER_BYTES = 64 * 2**20
CLOSE_S = 0.2


class Link:
    """Connects when it is first used, and again once when the connection was lost.

    Args:
        uri: Where the server listens, ``ws://`` or ``wss://``.
        connect_s: Longest time to connect and receive the metadata, in [s].
        headers: Sent with the handshake.
        tls: How to trust a ``wss://`` server; None: as this computer trusts.
    """

    def __init__(
        self,
        uri: str,
        *,
        connect_s: float,
        headers: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.uri = uri
        self._connect_s = connect_s
        self._headers = headers
        self._tls = tls
        self._connection: ClientConnection | None = None
        self._resources = ExitStack()
        self.metadata: dict[str, Any] = {}
        self.connections = 0

    def open(self, limit_s: float = math.inf) -> None:
        """Connect if there is no connection, within this time where it is the shorter one.

        Raises:
            RemoteError: No server, no metadata in time, or no map.
        """
        if self._connection is None:
            self._connection = self._connect(min(limit_s, self._connect_s))

    def ask(self, message: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """Send one map and wait for the map that answers it.

        Raises:
            RemoteError: No server, no answer in time, a refusal, or no map.
            WireError: The answer is no msgpack.
        """
        deadline = time.monotonic() + limit_s
        data = packb(message)
        tries = 1 if self._connection is None else 2  # it may lie idle, or the server restarted
        try:
            answer = self._exchange(data, deadline, tries)
        except TimeoutError:
            self.close()
            raise RemoteError(
                f"{self.uri} did not answer within {limit_s:.1f} s; use a faster machine, a "
                "smaller model, or a longer limit, and look at the network"
            ) from None
        except ConnectionClosed as closed:
            raise RemoteError(
                f"{self.uri} closed the connection ({closed}); look at the server's output and at "
                "the network"
            ) from closed
        if isinstance(answer, str):
            raise RemoteError(f"{self.uri} refused: {_last_line(answer)}")
        try:
            values = unpackb(answer)
        except WireError:
            self.close()
            raise
        if not isinstance(values, dict):
            self.close()
            raise RemoteError(f"{self.uri} answered {type(values).__name__}, expected a map")
        return values

    def close(self) -> None:
        """Drop the connection; calling it twice is harmless."""
        self._connection = None
        with suppress(OSError, WebSocketException):
            self._resources.close()

    def _exchange(self, data: bytes, deadline: float, tries: int) -> str | bytes:
        """One question, one answer.

        Raises:
            TimeoutError: The deadline passed.
            ConnectionClosed: As often as there were tries.
        """
        self.open(max(0.001, deadline - time.monotonic()))
        connection = self._connection
        assert connection is not None  # by open()
        try:
            _limit_sending(connection.socket, max(0.001, deadline - time.monotonic()))
            connection.send(data)
            answer = connection.recv(timeout=max(0.0, deadline - time.monotonic()))
        except ConnectionClosed:
            self.close()
            if time.monotonic() >= deadline:
                raise TimeoutError from None
            if tries == 1:
                raise
            return self._exchange(data, deadline, tries - 1)
        assert isinstance(answer, str | bytes)
        return answer

    def _connect(self, limit_s: float) -> ClientConnection:
        deadline = time.monotonic() + limit_s
        try:
            connection = self._resources.enter_context(
                connect(
                    self.uri,
                    ssl=self._tls,
                    compression=None,
                    max_size=MAX_ANSWER_BYTES,
                    open_timeout=limit_s,
                    close_timeout=CLOSE_S,
                    additional_headers=self._headers,
                )
            )
        except InvalidStatus as error:
            status = error.response.status_code
            why = "it wants another token" if status in (401, 403) else f"HTTP status {status}"
            raise RemoteError(f"{self.uri} refused the connection: {why}") from error
        except (OSError, TimeoutError, WebSocketException) as error:
            raise RemoteError(
                f"no policy server at {self.uri} ({error}); start it (`vla serve`, or openpi's "
                "scripts/serve_policy.py) or correct the address"
            ) from error
        self.connections += 1
        try:
            hello = connection.recv(timeout=max(0.0, deadline - time.monotonic()))
            metadata = unpackb(hello) if isinstance(hello, bytes) else hello
        except ConnectionClosed as error:
            self.close()
            why = error.rcvd.reason if error.rcvd and error.rcvd.reason else str(error)
            raise RemoteError(f"{self.uri} closed the connection at once: {why}") from error
        except TimeoutError as error:
            self.close()
            raise RemoteError(
                f"{self.uri} sent no metadata within {limit_s:.1f} s, expected it first; "
                "is this a policy server?"
            ) from error
        except WireError:
            self.close()
            raise
        if not isinstance(metadata, dict):
            self.close()
            raise RemoteError(
                f"{self.uri} began with {type(metadata).__name__}, expected a map of metadata; "
                "is this a policy server?"
            )
        self.metadata = metadata
        return connection


def _limit_sending(connection: socket.socket, limit_s: float) -> None:
    """A peer that reads nothing must not hold the sender for ever."""
    seconds, fraction = divmod(limit_s, 1.0)
    value = struct.pack("ll", int(seconds), int(fraction * 1e6))
    with suppress(OSError):  # a closed socket: sending says so
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
