"""Whatever bytes come from a network, the answer is a value or an error in words, never a crash."""

from __future__ import annotations

import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))

from serving import SPEC, request_with

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import PolicyRequest
from vla_ros.policy.remote import jpeg, msgpack_numpy, npy, pickles
from vla_ros.policy.remote.lerobot import _bytes_in
from vla_ros.policy.serve.requests import request_from

CHUNK = {"actions": np.arange(6.0).reshape(3, 2), "n": np.float32(2.5), "t": [1, None, "x"]}
SMOOTH = np.linspace(0, 255, 8 * 12 * 3).astype(np.uint8).reshape(8, 12, 3)

DECODERS = {
    "msgpack": (msgpack_numpy.unpackb, msgpack_numpy.packb(CHUNK)),
    "npy": (npy.unpackb, npy.packb({"actions": CHUNK["actions"]})),
    "pickle": (pickles.loads, pickle.dumps([{"a": [1.5, "b", None]}, (1, 2**40)])),
    "jpeg": (lambda data: jpeg.decode(data, (8, 12)), jpeg.encode(SMOOTH, 90)[b"data"]),
    "grpc": (_bytes_in, b"\x0a\x85\x01" + bytes(133)),
}

edits = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(["set", "drop", "add"])),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, changes: list[tuple[int, int, str]], cut: int) -> bytes:
    out = bytearray(data)
    for place, value, change in changes:
        at = place % max(1, len(out))
        if change == "add":
            out.insert(at, value)
        elif out and change == "set":
            out[at] = value
        elif out:
            del out[at]
    return bytes(out[: len(out) - cut % (len(out) + 1)])


@pytest.mark.parametrize("name", list(DECODERS))
@settings(max_examples=300, deadline=None)
@given(changes=edits, cut=st.one_of(st.just(0), st.integers(0, 500)))
def test_damaged_bytes_are_a_value_or_an_error_in_words(name, changes, cut) -> None:
    decode, data = DECODERS[name]
    decode(data)
    with suppress(VlaError):
        decode(edited(data, changes, cut))


def scalar(data: Any, dtype: str) -> bytes:
    return msgpack.packb({b"__npgeneric__": True, b"data": data, b"dtype": dtype})


@pytest.mark.parametrize(
    "data",
    [scalar(300, "|i1"), scalar(-1, "<u4"), scalar(1e300, "<i8"), scalar(float("nan"), "i4")],
)
def test_a_number_that_its_type_cannot_hold_is_refused(data: bytes) -> None:
    with pytest.raises(msgpack_numpy.WireError):
        msgpack_numpy.unpackb(data)


@pytest.mark.parametrize("size", [10**13, "text", [1], None])
def test_an_array_of_a_claimed_size_takes_no_memory(size: Any) -> None:
    with pytest.raises(npy.WireError):
        npy.unpackb(msgpack.packb({npy.MARK: True, "as_npy": size}))


NESTED = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=4),
        st.binary(max_size=4),
        st.sampled_from([np.zeros(2), np.zeros((3, 2)), np.zeros(0, np.uint8), np.array(1.0)]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
PARTS = ("state", "prompt", "seed", "guidance", "history", "t_obs_ns", "images")
GUIDED = ("actions", "weights", "max_weight", "jacobian")


@settings(max_examples=300, deadline=None)
@given(part=st.sampled_from(PARTS + tuple(f"guidance.{key}" for key in GUIDED)), value=NESTED)
def test_a_request_with_anything_in_any_place_is_one_or_is_refused(part: str, value: Any) -> None:
    good = request_with()
    message: dict[str, Any] = {
        "images": dict(good.observation.images),
        "state": good.observation.state,
        "prompt": "go",
        "guidance": {"actions": np.zeros((3, 2)), "weights": np.zeros(3)},
    }
    outer, _, inner = part.partition(".")
    if inner:
        message[outer][inner] = value
    else:
        message[outer] = value
    with suppress(VlaError):
        assert isinstance(request_from(message, SPEC), PolicyRequest)
