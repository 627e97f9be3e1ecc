"""Any checkpoint served by openpi, as a policy of ours.

openpi's server (https://github.com/Physical-Intelligence/openpi, ``serve_policy.py``) says nothing
about names and timing, so they are declared in a file. Each request is one map of observations,
each answer one map with ``actions``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.policy.remote.blank import blank_request
from vla_ros.policy.remote.errors import RemoteError
from vla_ros.policy.remote.link import Link
from vla_ros.policy.remote.mapping import KeyMap


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
        self._spec = spec
        self._keys = keys
        self._infer_s = infer_s
        self._warm_up_s = warm_up_s
        headers = {"Authorization": f"Api-Key {api_key}"} if api_key else None
        self._link = Link(uri, connect_s=connect_s, headers=headers)

    @property
    def spec(self) -> PolicySpec:
        """What the served checkpoint needs and gives."""
        return self._spec

    @property
    def metadata(self) -> dict[str, Any]:
        """What the server said about itself when the connection was made."""
        return self._link.metadata

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
        self._infer(blank_request(self._spec), self._warm_up_s)

    def close(self) -> None:
        """Drop the connection."""
        self._link.close()

    def _infer(self, request: PolicyRequest, limit_s: float) -> npt.NDArray[np.float64]:
        answer = self._link.ask(self._keys.encode(request, self._spec), limit_s)
        return self._keys.decode(actions_in(answer, self._link.uri), self._spec)


def actions_in(answer: dict[str, Any], where: str) -> npt.NDArray[Any]:
    """The array ``actions`` of an answer.

    Raises:
        RemoteError: There is none.
    """
    actions = answer.get("actions")
    if not isinstance(actions, np.ndarray):
        raise RemoteError(
            f"{where} answered without an array 'actions', got {sorted(map(str, answer))}; is this "
            "a policy server?"
        )
    return actions
