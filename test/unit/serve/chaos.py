"""A TCP proxy that does to a link what networks do."""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import suppress


class ChaosProxy:
    """Forwards 127.0.0.1:port to a target, badly where it is told to.

    Attributes:
        delay_s: Every piece of data waits this long, both ways.
        silent: Connections stay open and carry nothing: a half-open link.
        garbage_down: Bytes from the server are replaced by noise of the same length.
        cut_up, cut_down: The connection is reset after this many more bytes; None: never.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self.calm()
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []

    def calm(self) -> None:
        self.delay_s = 0.0
        self.silent = False
        self.garbage_down = False
        self.cut_up: int | None = None
        self.cut_down: int | None = None

    def __enter__(self) -> ChaosProxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.uri = f"ws://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Reset every connection."""
        for end in self._sockets:
            _reset(end)
        self._sockets.clear()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                continue
            self._sockets += [near, far]
            for source, sink, down in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pump, args=(source, sink, down), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                self._ended.wait(self.delay_s)
                if self.silent:
                    continue
                if down and self.garbage_down:
                    data = os.urandom(len(data))
                name = "cut_down" if down else "cut_up"
                left = getattr(self, name)
                if left is not None:
                    setattr(self, name, left - len(data))
                    if len(data) > left:
                        sink.sendall(data[:left])
                        break
                sink.sendall(data)
        if self.silent:
            return
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
        end.close()
