"""Service calls that nobody waits for."""

from __future__ import annotations

from typing import Any

from rclpy.task import Future

from vla_ros.ros.lifecycle import VlaNode

PATIENCE_NS = 5_000_000_000


class Call:
    """One service, called at most once at a time. Steady time is an argument.

    Args:
        node: Owns the client.
        kind: Service type.
        name: Service name.

    Attributes:
        name: As given.
    """

    def __init__(self, node: VlaNode[Any], kind: Any, name: str) -> None:
        self.name = name
        self._client = node.create_client(kind, name)
        node.on_release(lambda: node.destroy_client(self._client))
        self._future: Future | None = None
        self._since_ns = 0

    @property
    def ready(self) -> bool:
        """Whether somebody serves it."""
        return bool(self._client.service_is_ready())

    @property
    def under_way(self) -> bool:
        """Whether an answer is still to come, or to be taken."""
        return self._future is not None

    def start(self, request: Any, steady_ns: int) -> None:
        """Ask."""
        self._future = self._client.call_async(request)
        self._since_ns = steady_ns

    def answer(self, steady_ns: int) -> Any | None:
        """The answer, once; a call that lasts too long counts as none and is over."""
        if self._future is None:
            return None
        if self._future.done():
            future, self._future = self._future, None
            return future.result()
        if steady_ns - self._since_ns > PATIENCE_NS:
            self._client.remove_pending_request(self._future)
            self._future = None
        return None

    def drop(self) -> None:
        """Whatever comes is of no interest any more."""
        if self._future is not None:
            self._client.remove_pending_request(self._future)
            self._future = None
