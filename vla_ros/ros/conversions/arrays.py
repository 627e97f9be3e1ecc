"""Numpy arrays <-> the array fields of messages, in single copies.

rclpy keeps numeric sequences as ``array.array``; given one it checks the type code and nothing
else, given a list it checks every element.
"""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import numpy.typing as npt


def packed(values: npt.NDArray[Any], code: str) -> array.array[Any]:
    """Copies an array into a message field.

    Args:
        values: Any shape, row-major.
        code: Type code of the field: ``B`` uint8, ``f`` float32, ``d`` float64.
    """
    out: array.array[Any] = array.array(code)
    out.frombytes(
        np.ascontiguousarray(values, dtype=np.dtype(code)).reshape(-1).view(np.uint8).data
    )
    return out


def unpacked(field: Any, code: str) -> npt.NDArray[Any]:
    """A read-only view of a message field, without a copy.

    Args:
        field: ``array.array`` of a received message.
        code: Its type code.
    """
    values = np.frombuffer(field, dtype=np.dtype(code))
    values.setflags(write=False)
    return values


def doubles(field: Any) -> npt.NDArray[np.float64]:
    """A read-only copy of a float field as float64."""
    values = np.array(field, dtype=np.float64)
    values.setflags(write=False)
    return values
