"""A policy server that follows openpi's published WebSocket protocol, for the tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve


def to_wire(value: Any) -> Any:
    """Numpy array to the map that openpi sends; written apart from the code under test."""
    return {
        b"__ndarray__": True,
        b"data": value.tobytes(),
        b"dtype": value.dtype.str,
        b"shape": value.shape,
    }


def from_wire(value: dict) -> Any:
    if b"__ndarray__" in value:
        return np.ndarray(
            buffer=value[b"data"], dtype=np.dtype(value[b"dtype"]), shape=value[b"shape"]
        )
    return value


class OpenpiServer:
    """Serves ``answer(observation) -> message`` on a free port of this machine.

    A message is bytes to send as they are, text (a traceback), or a map to encode.
    """

    def __init__(
        self, answer: Callable[[dict], Any], metadata: Any = None, delay_s: float = 0.0
    ) -> None:
        self._answer = answer
        self._metadata = {"config": "test"} if metadata is None else metadata
        self.delay_s = delay_s
        self.requests: list[dict] = []
        self.raw: list[bytes] = []
        self.headers: list[Any] = []
        self.connections = 0
        self._open: list[ServerConnection] = []

    def __enter__(self) -> OpenpiServer:
        self._server = serve(self._handle, "127.0.0.1", 0, compression=None, max_size=None)
        self.port = self._server.socket.getsockname()[1]
        self.uri = f"ws://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        self._server.shutdown()
        self._thread.join(timeout=5.0)

    def drop(self) -> None:
        """Close every connection, as a restarted server does."""
        for connection in self._open:
            connection.close()
        self._open.clear()

    def _handle(self, connection: ServerConnection) -> None:
        self.connections += 1
        self._open.append(connection)
        self.headers.append(connection.request.headers)
        self._send(connection, self._metadata)
        try:
            for message in connection:
                self.raw.append(message)
                self.requests.append(msgpack.unpackb(message, object_hook=from_wire))
                time.sleep(self.delay_s)
                answer = self._answer(self.requests[-1])
                self._send(connection, answer)
                if isinstance(answer, str):
                    return
        except ConnectionClosed:
            return

    def _send(self, connection: ServerConnection, message: Any) -> None:
        if isinstance(message, dict):
            message = msgpack.packb(message, default=to_wire)
        connection.send(message)
