"""Numpy arrays in msgpack, as openpi's servers and clients write them.

An array is a map with the byte-string keys ``__ndarray__``, ``data`` (raw bytes, C order),
``dtype`` (numpy's type string) and ``shape``; a numpy scalar is a map with ``__npgeneric__``,
``data`` and ``dtype``. Only numbers and booleans are taken, so decoding never runs anybody's code,
and every declared size is checked against the bytes that came.
"""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np

from vla_ros.errors import VlaError

KINDS = "biuf"


class WireError(VlaError):
    """Bytes or values that this encoding does not carry."""


def packb(value: Any) -> bytes:
    """Encode maps, sequences, text, numbers and numeric arrays.

    Raises:
        WireError: A value of another type, or an array that does not hold numbers.
    """
    try:
        return bytes(msgpack.packb(value, default=_encode))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot be sent: {error}") from error


def unpackb(data: bytes) -> Any:
    """Decode what `packb`, or openpi's own encoder, wrote. Arrays are read-only views.

    Raises:
        WireError: Not msgpack, or an array whose type, shape and data do not fit together.
    """
    try:
        return msgpack.unpackb(data, object_hook=_decode)
    except WireError:
        raise
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(
            f"{len(data)} bytes are no msgpack message ({error or type(error).__name__}); "
            "is this an openpi server?"
        ) from error


def _encode(value: Any) -> dict[bytes, Any]:
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"{type(value).__name__} is not numeric; expected arrays, numbers or text")
    if value.dtype.kind not in KINDS:
        raise TypeError(f"an array of {value.dtype}; expected numbers or booleans")
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    return {
        b"__ndarray__": True,
        b"data": value.tobytes(),
        b"dtype": value.dtype.str,
        b"shape": value.shape,
    }


def _decode(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" in value:
        dtype, data = _dtype(value), value.get(b"data")
        shape = value.get(b"shape")
        if not isinstance(data, bytes) or not isinstance(shape, list | tuple):
            raise WireError("an array without data or shape; is this an openpi server?")
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise WireError(f"an array of shape {shape}; expected sizes of 0 or more")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise WireError(
                f"an array of {dtype} and shape {list(shape)} came with {len(data)} bytes, "
                f"expected {math.prod(shape) * dtype.itemsize}"
            )
        return np.frombuffer(data, dtype=dtype).reshape(shape)
    if b"__npgeneric__" in value:
        number = value.get(b"data")
        if not isinstance(number, bool | int | float):
            raise WireError(f"a numpy scalar holds {type(number).__name__}, expected a number")
        return _dtype(value).type(number)
    return value


def _dtype(value: dict[Any, Any]) -> np.dtype[Any]:
    name = value.get(b"dtype")
    try:
        dtype = np.dtype(name) if isinstance(name, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in KINDS:
        raise WireError(f"an array of type {name!r}; expected numbers or booleans")
    return dtype
