from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.spaces.raw_images import (
    ENCODINGS,
    ImageError,
    decode_compressed,
    decode_image,
    grey_from_depth,
)

COLOUR = (200, 90, 30)


def smooth(height: int = 32, width: int = 48) -> np.ndarray:
    ramp = np.linspace(40, 200, width).astype(np.uint8)
    return np.stack([np.tile(ramp, (height, 1)), np.full((height, width), 90, np.uint8),
                     np.tile(ramp[::-1], (height, 1))], axis=-1)  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "cell"),
    [
        ("bayer_rggb8", "rggb"),
        ("bayer_bggr8", "bggr"),
        ("bayer_gbrg8", "gbrg"),
        ("bayer_grbg8", "grbg"),
    ],
)
def test_a_bayer_pattern_is_read_from_its_first_cell(encoding: str, cell: str) -> None:
    values = dict(zip("rgb", COLOUR, strict=True))
    mosaic = np.tile(np.array([values[c] for c in cell], np.uint8).reshape(2, 2), (8, 8))
    rgb = decode_image(encoding, 16, 16, 16, mosaic.tobytes())
    np.testing.assert_array_equal(rgb[4:12, 4:12], np.broadcast_to(COLOUR, (8, 8, 3)))


@pytest.mark.parametrize(
    ("encoding", "luma"), [("yuv422", 1), ("uyvy", 1), ("yuv422_yuy2", 0), ("yuyv", 0)]
)
def test_both_orders_of_yuv_422_come_back_in_colour(encoding: str, luma: int) -> None:
    rgb = np.broadcast_to(np.array(COLOUR, np.uint8), (4, 8, 3))
    r, g, b = (np.array(COLOUR) / 255).tolist()
    # Studio range, BT.601.
    y = round(16 + 219 * (0.299 * r + 0.587 * g + 0.114 * b))
    u = round(128 + 224 * (-0.168736 * r - 0.331264 * g + 0.5 * b))
    v = round(128 + 224 * (0.5 * r - 0.418688 * g - 0.081312 * b))
    pair = [0, 0, 0, 0]
    pair[luma], pair[luma + 2] = y, y
    pair[1 - luma], pair[3 - luma] = u, v
    decoded = decode_image(encoding, 4, 8, 16, np.tile(np.array(pair, np.uint8), 16).tobytes())
    assert np.abs(decoded.astype(int) - rgb).max() <= 3


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
def test_sixteen_bits_of_grey_keep_their_upper_half(big_endian: bool, padding: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (5, 7)).astype(np.uint16)
    rows = values.astype(">u2" if big_endian else "<u2").view(np.uint8).reshape(5, 14)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=9).tobytes()
    rgb = decode_image("mono16", 5, 7, 14 + padding, data, big_endian=big_endian)
    np.testing.assert_array_equal(rgb, np.repeat((values // 256)[..., None], 3, axis=-1))


def test_millimetres_and_metres_of_depth_are_the_same_picture() -> None:
    metres = np.array([[0.0, 0.2, 0.5], [1.0, 2.0, 9.0]], np.float32)
    limits = (0.5, 2.0)
    grey = decode_image("32FC1", 2, 3, 12, metres.tobytes(), depth_range_m=limits)
    from_mm = (metres * 1000).astype(np.uint16)
    again = decode_image("16UC1", 2, 3, 6, from_mm.tobytes(), depth_range_m=limits)
    np.testing.assert_array_equal(grey, again)
    assert grey[..., 0].tolist() == [[0, 1, 1], [86, 255, 255]]


@given(
    depth=st.lists(st.one_of(st.floats(width=32), st.floats(0, 5, width=32)), min_size=1),
)
def test_depth_is_nothing_only_where_the_sensor_saw_nothing(depth: list[float]) -> None:
    values = np.array([depth], np.float32)
    grey = grey_from_depth(values, (0.25, 2.0))[..., 0]
    seen = np.isfinite(values) & (values > 0)
    np.testing.assert_array_equal(grey == 0, ~seen)
    order = np.argsort(values[seen])
    assert np.all(np.diff(grey[seen][order].astype(int)) >= 0)


def test_a_depth_image_without_a_range_is_refused() -> None:
    with pytest.raises(ImageError, match="depth_range_m"):
        decode_image("16UC1", 2, 2, 4, bytes(8))


@pytest.mark.parametrize(("suffix", "off"), [(".png", 0), (".jpg", 6)])
def test_a_compressed_picture_is_the_picture(suffix: str, off: int) -> None:
    picture = smooth()
    data = cv2.imencode(suffix, picture[..., ::-1])[1].tobytes()
    assert np.abs(decode_compressed(data).astype(int) - picture).max() <= off


def huge() -> bytes:
    """A PNG whose header speaks of 60000 x 60000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = (header, b"IDAT" + zlib.compress(bytes(100)), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
    )


def half(suffix: str) -> bytes:
    data = cv2.imencode(suffix, smooth())[1].tobytes()
    return data[: len(data) // 2]


@pytest.mark.parametrize("data", [b"", b"no picture", half(".png"), half(".jpg"), huge()])
def test_bytes_that_are_no_picture_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="no JPEG or PNG"):
        decode_compressed(data)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_refuses_a_row_that_is_too_short(encoding: str) -> None:
    with pytest.raises(ImageError, match="step is 3 bytes"):
        decode_image(encoding, 2, 4, 3, bytes(6), depth_range_m=(0.1, 1.0))
