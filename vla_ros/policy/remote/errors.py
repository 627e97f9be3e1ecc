"""The one error that every remote policy raises."""

from __future__ import annotations

from vla_ros.errors import VlaError


class RemoteError(VlaError):
    """The server is away, too slow, or answered with something else than actions."""
