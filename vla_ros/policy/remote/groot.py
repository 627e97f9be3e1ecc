"""A GR00T inference server as a policy of ours, over ZeroMQ and msgpack.

NVIDIA Isaac-GR00T (https://github.com/NVIDIA/Isaac-GR00T), ``gr00t/policy/server_client.py`` (N1.6
and newer, layout ``nested``) and ``gr00t/eval/service.py`` (N1.5, layout ``flat``): a REQ socket
sends ``{"endpoint", "data", "api_token"}``; the answer is the endpoint's result, or
``{"error": text}``. A REQ socket whose answer did not come is of no more use and is made anew.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.policy.remote.blank import blank_request
from vla_ros.policy.remote.errors import RemoteError
from vla_ros.policy.remote.mapping import KeyMap
from vla_ros.policy.remote.npy import packb, unpackb

Layout = Literal["nested", "flat"]
CONNECT_S = 5.0


class GrootClient:
    """A policy that asks a GR00T server.

    Args:
        address: Where it listens, for example ``tcp://192.168.1.5:5555``.
        spec: What the served checkpoint needs and gives, in the robot file's names.
        keys: Its modality keys: of each camera, of the state's parts, and of the language. Its
            ``actions`` are the columns of ``action_parts``, one after the other.
        action_parts: For each of the server's action keys the number of its columns.
        layout: ``nested`` for N1.6 and newer, ``flat`` for N1.5.
        infer_s: Longest time for one answer, in [s].
        warm_up_s: Longest time for the first answer, in [s].
        api_token: Where the server asks for one.

    Raises:
        RemoteError: pyzmq is not installed.
        MappingError: The keys do not fit the spec.
    """

    def __init__(
        self,
        address: str,
        spec: PolicySpec,
        keys: KeyMap,
        action_parts: Mapping[str, int],
        *,
        layout: Layout = "nested",
        infer_s: float = 10.0,
        warm_up_s: float = 300.0,
        api_token: str | None = None,
    ) -> None:
        try:
            zmq = importlib.import_module("zmq")
        except ModuleNotFoundError as error:
            raise RemoteError(
                "a GR00T server is asked with pyzmq, which is not installed; "
                "pip install -r requirements/remote.txt"
            ) from error
        keys.check(spec)
        self._zmq = zmq
        self._context: Any = zmq.Context()
        self._socket: Any = None
        self._address = address
        self._spec = spec
        self._keys = keys
        self._parts = dict(action_parts)
        self._layout = layout
        self._infer_s = infer_s
        self._warm_up_s = warm_up_s
        self._api_token = api_token

    @property
    def spec(self) -> PolicySpec:
        """What the served checkpoint needs and gives."""
        return self._spec

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Ask for one chunk. Shape (T, A). The server draws its own noise.

        Raises:
            RemoteError: No server, no answer in time, or the server failed.
            MappingError: The actions have another shape.
        """
        return self._infer(request, self._infer_s)

    def reset(self) -> None:
        """Nothing to forget: every request stands alone."""

    def warm_up(self) -> None:
        """Compare the server's modalities with the keys, and let it compile."""
        self._call("ping", None, CONNECT_S)
        self._check_modalities(self._call("get_modality_config", None, CONNECT_S))
        self._infer(blank_request(self._spec), self._warm_up_s)

    def close(self) -> None:
        """Drop the connection; calling it twice is harmless."""
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None

    def _infer(self, request: PolicyRequest, limit_s: float) -> npt.NDArray[np.float64]:
        observation = self._observation(request)
        nested = self._layout == "nested"
        data = {"observation": observation, "options": None} if nested else observation
        answer = self._call("get_action", data, limit_s)
        actions = answer[0] if nested and isinstance(answer, list) and answer else answer
        if not isinstance(actions, Mapping):
            raise RemoteError(f"{self._address} answered {type(answer).__name__}, expected actions")
        parts = [self._part(actions, key, dim) for key, dim in self._parts.items()]
        if len({len(part) for part in parts}) != 1:
            raise RemoteError(f"{self._address} answered with parts of different length")
        return self._keys.decode(np.concatenate(parts, axis=1), self._spec)

    def _observation(self, request: PolicyRequest) -> dict[str, Any]:
        flat = self._keys.encode(request, self._spec)
        images = {key: flat[key] for key in self._keys.images.values()}
        states = {key: flat[key] for key in self._keys.state}
        prompt = self._keys.prompt
        if self._layout == "nested":  # (B, time, ...)
            return {
                "video": {key: image[None, None] for key, image in images.items()},
                "state": {key: state[None, None] for key, state in states.items()},
                "language": {prompt: [[request.prompt]]},
            }
        return {
            **{f"video.{key}": image[None] for key, image in images.items()},
            **{f"state.{key}": state[None] for key, state in states.items()},
            prompt: [request.prompt],
        }

    def _part(self, actions: Mapping[str, Any], key: str, dim: int) -> npt.NDArray[Any]:
        name = key if self._layout == "nested" else f"action.{key}"
        part = actions.get(name)
        if not isinstance(part, np.ndarray):
            raise RemoteError(
                f"{self._address} answered without '{name}', got {sorted(map(str, actions))}"
            )
        if part.ndim == 3 and len(part) == 1:
            part = part[0]
        if part.ndim == 1:
            part = part[:, None]
        if part.ndim != 2 or part.shape[1] != dim:
            raise RemoteError(f"'{name}' has shape {part.shape}, expected (T, {dim})")
        return part

    def _check_modalities(self, config: Any) -> None:
        wanted = {
            "video": set(self._keys.images.values()),
            "state": set(self._keys.state),
            "action": set(self._parts),
        }
        for modality, keys in wanted.items():
            try:
                about = config[modality]
                about = about.get("as_json", about) if isinstance(about, Mapping) else about
                about = json.loads(about) if isinstance(about, str) else about
                served = {str(key).removeprefix(f"{modality}.") for key in about["modality_keys"]}
                steps = len(about["delta_indices"])
            except (KeyError, TypeError, ValueError) as error:
                raise RemoteError(
                    f"{self._address} does not say its {modality} keys as GR00T does "
                    f"({type(error).__name__}: {error}); is this a GR00T server?"
                ) from error
            if served != keys:
                raise RemoteError(
                    f"{self._address} has the {modality} keys {sorted(served)}, the file names "
                    f"{sorted(keys)}; correct the file"
                )
            if modality != "action" and steps != 1:
                raise RemoteError(
                    f"{self._address} wants {steps} steps of {modality} at "
                    "once, expected 1; histories are not supported"
                )

    def _call(self, endpoint: str, data: Any, limit_s: float) -> Any:
        message: dict[str, Any] = {"endpoint": endpoint}
        if data is not None:
            message["data"] = data
        if self._api_token:
            message["api_token"] = self._api_token
        deadline = time.monotonic() + limit_s
        try:
            socket = self._connected()
            socket.send(packb(message))
            if not socket.poll(max(0, round((deadline - time.monotonic()) * 1e3))):
                raise TimeoutError
            answer = unpackb(socket.recv())
        except (self._zmq.ZMQError, TimeoutError) as error:
            self.close()
            raise RemoteError(
                f"{self._address} did not answer '{endpoint}' within {limit_s:.1f} s "
                f"({error or 'no answer'}); is a GR00T server running there?"
            ) from None
        if isinstance(answer, Mapping) and "error" in answer:
            raise RemoteError(f"{self._address} refused '{endpoint}': {answer['error']}")
        return answer

    def _connected(self) -> Any:
        if self._socket is None:
            self._socket = self._context.socket(self._zmq.REQ)
            self._socket.setsockopt(self._zmq.LINGER, 0)
            self._socket.setsockopt(self._zmq.SNDTIMEO, round(CONNECT_S * 1e3))
            self._socket.connect(self._address)
        return self._socket
