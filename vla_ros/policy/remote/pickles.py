"""The few pickles that LeRobot's asynchronous inference speaks, without running anybody's code.

LeRobot's gRPC messages carry pickles. Unpickling runs whatever the sender wrote, so nothing here
ever does: what is read may name only the classes of an action chunk, each of which stands for a
plain function of ours, and what is written is put together opcode by opcode
(https://docs.python.org/3/library/pickletools.html). So neither LeRobot nor torch is needed.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.policy.remote.msgpack_numpy import WireError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


@dataclass(frozen=True)
class Instance:
    """An object of one of LeRobot's dataclasses, to be written.

    Attributes:
        module: Where the reader finds the class.
        name: Its name.
        fields: Its attributes.
    """

    module: str
    name: str
    fields: Mapping[str, Any]


class TimedAction:
    """One row of a chunk as LeRobot's server writes it."""

    timestep: int
    action: npt.NDArray[Any]


def dumps(value: Any) -> bytes:
    """Write plain values, numeric arrays and instances.

    Raises:
        WireError: A value of another type.
    """
    return b"\x80\x03" + _write(value) + b"."


def loads(data: bytes) -> Any:
    """Read an action chunk.

    Raises:
        WireError: It is no pickle, or names anything but the parts of an action chunk.
    """
    return _read(_Chunk(io.BytesIO(data)))


def _read(reader: pickle.Unpickler) -> Any:
    try:
        return reader.load()
    except WireError:
        raise
    except Exception as error:  # a damaged pickle raises almost anything
        raise WireError(f"no action chunk of LeRobot: {type(error).__name__}: {error}") from error


def _write(value: Any) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data
    if isinstance(value, bytes):
        return b"B" + struct.pack("<I", len(value)) + value
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_write, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_write, value)) + b"e"
    if isinstance(value, Mapping):
        return b"}(" + b"".join(_write(k) + _write(v) for k, v in value.items()) + b"u"
    if isinstance(value, Instance):
        return _name(value.module, value.name) + b")\x81" + _write(dict(value.fields)) + b"b"
    if isinstance(value, np.ndarray) and value.dtype.kind in "uif":
        array = np.ascontiguousarray(value)
        parts = (tuple(map(int, array.shape)), array.dtype.str, array.tobytes())
        return _name("numpy", "ndarray") + _write(parts) + b"R"
    raise WireError(f"{type(value).__name__} cannot be sent to LeRobot's server")


def _name(module: str, name: str) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode()


class _Chunk(pickle.Unpickler):
    """Reads a list of TimedAction."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "TimedAction" and module.startswith("lerobot."):
            return TimedAction
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch.storage", "_load_from_bytes"): _storage,
            ("collections", "OrderedDict"): OrderedDict,
        }
        if (module, name) not in known:
            raise WireError(f"the answer names {module}.{name}, which no action chunk needs")
        return known[module, name]


class _Storage(pickle.Unpickler):
    """Reads one part of torch's legacy format of a storage."""

    def find_class(self, module: str, name: str) -> Any:
        if module != "torch" or name not in _STORAGES:
            raise WireError(f"a tensor of {module}.{name}, expected numbers")
        return _STORAGES[name]

    def persistent_load(self, pid: Any) -> Any:
        return pid


def _storage(data: bytes) -> npt.NDArray[Any]:
    """``torch.storage._load_from_bytes`` for a legacy file with one storage."""
    file = io.BytesIO(data)
    magic, _version, _system, (_, dtype, key, _, count, *_), keys = (
        _read(_Storage(file)) for _ in range(5)
    )
    if magic != _LEGACY_MAGIC or keys != [key]:
        raise WireError("a tensor in another format than torch's legacy one")
    numel = int.from_bytes(file.read(8), "little")
    values = np.frombuffer(file.read(), dtype)
    if numel != count or len(values) != count:
        raise WireError(f"a tensor of {count} numbers came with {len(values)}")
    return values


def _tensor(
    storage: npt.NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> npt.NDArray[Any]:
    """``torch._utils._rebuild_tensor_v2``, within the bounds of its storage."""
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if offset < 0 or min((*size, *stride, 1)) < 0 or last >= len(storage):
        raise WireError(f"a tensor of shape {size} does not lie within its {len(storage)} numbers")
    steps = tuple(step * storage.itemsize for step in stride)
    return np.array(np.lib.stride_tricks.as_strided(storage[offset:], size, steps))
