"""Numpy arrays in msgpack, as GR00T's servers and clients write them (``gr00t/policy``).

An array is a map ``{"__ndarray_class__": true, "as_npy": bytes}`` whose bytes are a ``.npy`` file;
pickled objects in it are refused, so decoding never runs anybody's code.
"""

from __future__ import annotations

import io
from typing import Any

import msgpack
import numpy as np

from vla_ros.policy.remote.msgpack_numpy import KINDS, WireError

MARK = "__ndarray_class__"


def packb(value: Any) -> bytes:
    """Encode maps, sequences, text, numbers and numeric arrays.

    Raises:
        WireError: A value of another type.
    """
    try:
        return bytes(msgpack.packb(value, default=_encode))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot be sent: {error}") from error


def unpackb(data: bytes) -> Any:
    """Decode an answer.

    Raises:
        WireError: Not msgpack, or an array that is no ``.npy`` file of numbers.
    """
    try:
        return msgpack.unpackb(data, object_hook=_decode)
    except WireError:
        raise
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError(
            f"{len(data)} bytes are no msgpack message ({error or type(error).__name__}); is this "
            "a GR00T server?"
        ) from error


def _encode(value: Any) -> dict[str, Any]:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in KINDS:
        raise TypeError(f"{type(value).__name__} is not numeric; expected arrays, numbers or text")
    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    return {MARK: True, "as_npy": file.getvalue()}


def _decode(value: dict[Any, Any]) -> Any:
    if MARK not in value:
        return value
    data = value.get("as_npy")
    if not isinstance(data, bytes):
        raise WireError(f"an array holds {type(data).__name__}, expected the bytes of a .npy file")
    try:
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a damaged header raises almost anything
        raise WireError(f"an array that is no .npy file of numbers: {error}") from error
    if array.dtype.kind not in KINDS:
        raise WireError(f"an array of {array.dtype}; expected numbers or booleans")
    return array
