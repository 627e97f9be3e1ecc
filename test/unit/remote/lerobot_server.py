"""A server of LeRobot's asynchronous inference protocol, written apart from the code under test.

    python lerobot_server.py MODE    prints its port

It unpickles what comes with Python's own pickle into classes of LeRobot's names, and answers with
tensors pickled as torch pickles them (`torch.save` in the legacy format within a pickle), without
torch, which would take long to load.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import time
import types
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

MODE = sys.argv[1]
NAME = "lerobot.async_inference.helpers"


def module(name: str) -> types.ModuleType:
    return sys.modules.setdefault(name, types.ModuleType(name))


def named(name: str, kind: Any) -> Any:
    """Let pickle find a class or function under the name it has in torch or LeRobot."""
    kind.__module__, kind.__qualname__ = name, kind.__name__
    setattr(module(name), kind.__name__, kind)
    return kind


for parent in ("lerobot", "lerobot.async_inference", "torch"):
    module(parent)


def _load_from_bytes(data: bytes) -> None:
    raise NotImplementedError


def _rebuild_tensor_v2(*parts: Any) -> None:
    raise NotImplementedError


class FloatStorage:
    """A list of numbers, as torch stores it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values.astype("<f4")

    def __reduce__(self):
        file = io.BytesIO()
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(part, file, 2)
        pickler = pickle.Pickler(file, 2)
        pickler.persistent_id = lambda value: (
            ("storage", FloatStorage, "key", "cpu", len(self.values), None)
            if value is self
            else None
        )
        pickler.dump(self)
        pickle.dump(["key"], file, 2)
        file.write(len(self.values).to_bytes(8, "little") + self.values.tobytes())
        return _load_from_bytes, (file.getvalue(),)


class Row:
    """Row k of a matrix: a view of the matrix's storage."""

    def __init__(self, storage: FloatStorage, k: int, columns: int) -> None:
        self.parts = (storage, k * columns, (columns,), (1,), False, OrderedDict())

    def __reduce__(self):
        return _rebuild_tensor_v2, self.parts


named("torch.storage", _load_from_bytes)
named("torch._utils", _rebuild_tensor_v2)
named("torch", FloatStorage)


@dataclass
class TimedObservation:
    timestamp: float
    timestep: int
    observation: dict
    must_go: bool = False


@dataclass
class TimedAction:
    timestamp: float
    timestep: int
    action: Any


@dataclass
class RemotePolicyConfig:
    policy_type: str
    pretrained_name_or_path: str
    lerobot_features: dict
    actions_per_chunk: int
    device: str = "cpu"
    rename_map: dict = field(default_factory=dict)


for dataclass_ in (TimedObservation, TimedAction, RemotePolicyConfig):
    named(NAME, dataclass_)


class Evil:
    def __reduce__(self):
        return os.system, (f"touch {sys.argv[2]}",)


def varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data: bytes) -> dict[int, Any]:
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            value, at = data[at : at + value], at + value
        found[tag >> 3] = value
    return found


class Server(grpc.GenericRpcHandler):
    def __init__(self) -> None:
        self.config: RemotePolicyConfig | None = None
        self.observation: TimedObservation | None = None

    def service(self, details):
        method = details.method.rpartition("/")[2]
        assert details.method == f"/transport.AsyncInference/{method}"
        if method == "SendObservations":
            return grpc.stream_unary_rpc_method_handler(self.observe)
        return grpc.unary_unary_rpc_method_handler(
            {"Ready": self.ready, "SendPolicyInstructions": self.set_up, "GetActions": self.act}[
                method
            ]
        )

    def ready(self, _request, _context) -> bytes:
        self.observation = None
        return b""

    def set_up(self, request, _context) -> bytes:
        if MODE == "slow to load":
            time.sleep(1.0)
        self.config = pickle.loads(fields(request)[1])
        assert isinstance(self.config, RemotePolicyConfig)
        assert self.config.policy_type == "act", self.config
        return b""

    def observe(self, requests, _context) -> bytes:
        data = b""
        for k, request in enumerate(requests):
            piece = fields(request)
            data += piece[2]
            if piece[1] == 3:
                break
            assert piece[1] == (1 if k == 0 else 2)
        self.observation = pickle.loads(data)
        assert isinstance(self.observation, TimedObservation)
        assert self.observation.must_go is True
        return b""

    def act(self, _request, _context) -> bytes:
        """Column 0 is the state's first value plus the row, column 1 the image's mean."""
        if MODE == "failing" or self.config is None or self.observation is None:
            return b""
        seen, features = self.observation.observation, self.config.lerobot_features
        state = np.array([seen[name] for name in features["observation.state"]["names"]])
        image = seen["top"]
        assert image.shape == features["observation.images.top"]["shape"]
        assert image.dtype == np.uint8
        rows = np.arange(self.config.actions_per_chunk)
        rest = (np.full(len(rows), image.mean()), np.full(len(rows), len(seen["task"])))
        storage = FloatStorage(np.stack([rows + state[0], *rest], axis=1).ravel())
        step = self.observation.timestep - (1 if MODE == "stale" else 0)
        answer: Any = [TimedAction(0.0, step + k, Row(storage, k, 3)) for k in rows.tolist()]
        if MODE == "evil":
            answer = [Evil()]
        data = pickle.dumps(answer)
        if MODE == "garbage":
            data = data[: len(data) // 2]
        size, length = len(data), b""
        while size > 0x7F:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        return b"\x0a" + length + bytes([size]) + data


server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((Server(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
