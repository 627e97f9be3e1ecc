from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.spaces.images import ImageError, ImageTransform, decode_image
from vla_ros.spaces.raw_images import VIEWED_ENCODINGS


def encode(rgb: np.ndarray, encoding: str, padding: int) -> tuple[int, bytes]:
    """The bytes a driver would send for an RGB image, the slow way."""
    channels = {"rgb8": "rgb", "bgr8": "bgr", "rgba8": "rgba", "bgra8": "bgra", "mono8": "r"}
    rows = []
    for row in rgb:
        pixels = [
            {"r": r, "g": g, "b": b, "a": 255}[name]
            for r, g, b in row.tolist()
            for name in channels[encoding]
        ]
        rows.append(bytes(pixels) + b"\xee" * padding)
    return len(rows[0]), b"".join(rows)


@given(
    encoding=st.sampled_from(VIEWED_ENCODINGS),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    padding=st.integers(0, 5),
    seed=st.integers(0, 1000),
)
def test_every_encoding_of_plain_bytes_decodes_to_the_same_rgb(
    encoding: str, height: int, width: int, padding: int, seed: int
) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if encoding == "mono8":
        rgb[...] = rgb[..., :1]
    step, data = encode(rgb, encoding, padding)
    decoded = decode_image(encoding, height, width, step, data)
    np.testing.assert_array_equal(decoded, rgb)
    with pytest.raises(ValueError, match="read-only"):
        decoded[0, 0, 0] = 1


@pytest.mark.parametrize("encoding", VIEWED_ENCODINGS)
def test_decoding_copies_nothing(encoding: str) -> None:
    data = np.zeros(4 * 4 * 8, dtype=np.uint8)
    step = 4 * {"mono8": 1, "rgb8": 3, "bgr8": 3}.get(encoding, 4)
    decoded = decode_image(encoding, 4, 4, step, data[: 4 * step])
    assert np.shares_memory(decoded, data)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("jpeg", 2, 2, 6, bytes(12)), "encoding is 'jpeg'.*rgb8"),
        (("rgb8", 2, 2, 5, bytes(10)), "step is 5 bytes; expected at least 6"),
        (("rgb8", 2, 2, 6, bytes(11)), "has 11 bytes; expected 12"),
        (("rgb8", 0, 2, 6, b""), "2x0"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        decode_image(*arguments)


@pytest.mark.parametrize("encoding", VIEWED_ENCODINGS)
def test_any_view_of_the_same_pixels_gives_the_same_dataset_image(encoding: str) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (36, 48, 3), dtype=np.uint8)
    if encoding == "mono8":
        rgb[...] = rgb[..., :1]
    step, data = encode(rgb, encoding, 3)
    transform = ImageTransform(crop=(6, 0, 36, 36), height=9, width=9)
    expected = cv2.resize(np.ascontiguousarray(rgb[:, 6:42]), (9, 9), interpolation=cv2.INTER_AREA)
    image = transform.apply(decode_image(encoding, 36, 48, step, data))
    np.testing.assert_array_equal(image, expected)


def test_an_image_of_the_right_size_is_copied_not_shared() -> None:
    rgb = np.zeros((4, 4, 3), dtype=np.uint8)
    image = ImageTransform(crop=None, height=4, width=4).apply(rgb)
    rgb[:] = 9
    assert not image.any()
    assert not image.flags.writeable


def test_the_signature_sees_a_change_that_the_resize_hides() -> None:
    rgb = np.full((64, 64, 3), 100, dtype=np.uint8)
    transform = ImageTransform(crop=None, height=4, width=4)
    before, signature = transform.apply_signed(rgb)
    rgb[0, 0, 0] += 1
    after, changed = transform.apply_signed(rgb)
    np.testing.assert_array_equal(before, after)
    assert changed != signature


@pytest.mark.parametrize("crop", [(0, 0, 9, 8), (-1, 0, 4, 4), (0, 5, 4, 4), (0, 0, 0, 4)])
def test_a_crop_outside_the_image_is_refused(crop: tuple[int, int, int, int]) -> None:
    with pytest.raises(ImageError, match="does not lie inside the image of 8x8"):
        ImageTransform(crop=crop, height=4, width=4).apply(np.zeros((8, 8, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8)]
)
def test_an_image_of_another_form_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ImageError, match="expected uint8"):
        ImageTransform(crop=None, height=4, width=4).apply(image)
