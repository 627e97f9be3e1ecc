"""Images as JPEG on the wire: a tenth of the bytes, at the price of JPEG's artefacts.

A map ``{b"__jpeg__": true, b"data": bytes}`` stands in the place of an array.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

MARK = b"__jpeg__"


class JpegError(VlaError):
    """Bytes that are no JPEG, or one of another size."""


def encode(image: npt.NDArray[np.uint8], quality: int) -> dict[bytes, Any]:
    """RGB to the map that stands for it. Shape (H, W, 3)."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise JpegError(f"an image of shape {image.shape} could not be encoded as JPEG")
    return {MARK: True, b"data": data.tobytes()}


def decode(data: Any, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The RGB image in a JPEG of a known size. Shape (H, W, 3).

    The size is read from the header first: a small file can hold a very large image.

    Raises:
        JpegError: No JPEG, another size, or damaged.
    """
    got = _size(data) if isinstance(data, bytes) else None
    if got is None:
        raise JpegError("an image marked as JPEG holds none")
    if got != tuple(size):
        raise JpegError(f"a JPEG of shape {(*got, 3)}, expected {(*size, 3)}")
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None or bgr.shape[:2] != got:
        raise JpegError(f"a damaged JPEG of {len(data)} bytes")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _size(data: bytes) -> tuple[int, int] | None:
    """Height and width in the frame header (ITU T.81, B.2.2), None where there is none."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(
                data[at + 7 : at + 9], "big"
            )
        at += 2 + length
    return None
