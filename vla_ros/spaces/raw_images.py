"""The bytes of a camera message as RGB, uint8: views where the bytes allow, copies elsewhere.

Encodings are those of sensor_msgs/image_encodings.hpp. Depth images (REP-118: 16UC1 in
millimetres, 32FC1 in metres) become grey pictures over a declared range.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

Rgb = npt.NDArray[np.uint8]
Buffer = bytes | bytearray | memoryview | npt.NDArray[np.uint8]

Encoding = Literal[
    "rgb8",
    "bgr8",
    "rgba8",
    "bgra8",
    "mono8",
    "mono16",
    "bayer_rggb8",
    "bayer_bggr8",
    "bayer_gbrg8",
    "bayer_grbg8",
    "yuv422",
    "yuv422_yuy2",
    "uyvy",
    "yuyv",
    "16UC1",
    "32FC1",
]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
"""Encodings of sensor_msgs/Image that are understood."""
VIEWED_ENCODINGS: tuple[Encoding, ...] = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8")
"""Those that are read without copying a byte."""
DEPTH_ENCODINGS: tuple[Encoding, ...] = ("16UC1", "32FC1")
"""Those that need a range."""

_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4}
_CHANNELS |= {"rgb16": 3, "bgr16": 3, "rgba16": 4, "bgra16": 4}
_CHANNELS |= dict.fromkeys(("yuv422", "uyvy", "yuv422_yuy2", "yuyv"), 2)
_TYPES = {"16UC1": "u2", "32FC1": "f4"}
_CONVERSIONS = {
    # OpenCV names a Bayer pattern by its second row, second and third column.
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,  # the newer names of the same two
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
_METRES = {"16UC1": 1e-3, "32FC1": 1.0}


class ImageError(VlaError):
    """An image's bytes, encoding or size are not what they should be."""


def decode_image(
    encoding: str,
    height: int,
    width: int,
    step: int,
    data: Buffer,
    *,
    big_endian: bool = False,
    depth_range_m: tuple[float, float] | None = None,
) -> Rgb:
    """Read the bytes of a sensor_msgs/Image as RGB.

    rgb8, bgr8, rgba8, bgra8 and mono8 are views of ``data``; the others are converted.

    Args:
        encoding: one of ``ENCODINGS``; grey pictures are repeated over the three channels.
        height: rows.
        width: columns.
        step: bytes from one row to the next, at least those of ``width`` pixels.
        data: exactly ``step * height`` bytes, or a buffer of them.
        big_endian: order of the bytes of 16- and 32-bit elements.
        depth_range_m: what 1 and 255 of a depth image mean [m]; beyond is clipped, and 0 is
            where the sensor saw nothing.

    Returns:
        Read-only uint8. Shape (H, W, 3).

    Raises:
        ImageError: unknown encoding, empty image, a step or size that does not fit, or a depth
            image without a range.
    """
    if encoding not in ENCODINGS:
        raise ImageError(
            f"image encoding is '{encoding}'; expected one of {', '.join(ENCODINGS)}. "
            "Set the camera driver's output encoding to rgb8 or bgr8"
        )
    pixels = pixels_of(encoding, height, width, step, data, big_endian)
    if encoding in VIEWED_ENCODINGS:
        return _viewed(encoding, pixels)
    if encoding in DEPTH_ENCODINGS:
        if depth_range_m is None:
            raise ImageError(
                f"a depth image ({encoding}) came without depth_range_m; declare it in the robot "
                "file"
            )
        return grey_from_depth(pixels[..., 0] * np.float32(_METRES[encoding]), depth_range_m)
    if encoding == "mono16":
        return _grey((pixels[..., 0] >> 8).astype(np.uint8))
    rgb: Rgb = cv2.cvtColor(np.ascontiguousarray(pixels), _CONVERSIONS[encoding])
    rgb.setflags(write=False)
    return rgb


def decode_compressed(data: Buffer) -> Rgb:
    """Decode the JPEG or PNG of a sensor_msgs/CompressedImage.

    Returns:
        Read-only uint8. Shape (H, W, 3).

    Raises:
        ImageError: the bytes are no whole picture.
    """
    flat = np.frombuffer(data, dtype=np.uint8)
    try:
        bgr = cv2.imdecode(flat, cv2.IMREAD_COLOR) if flat.size else None
    except cv2.error:  # a size that OpenCV will not make room for
        bgr = None
    if bgr is None:
        raise ImageError(
            f"{flat.size} bytes are no JPEG or PNG picture; expected sensor_msgs/CompressedImage "
            "of image_transport's compressed transport (not compressedDepth, theora or ffmpeg)"
        )
    rgb: Rgb = bgr[..., ::-1]
    rgb.setflags(write=False)
    return rgb


def grey_from_depth(depth_m: npt.NDArray[np.float32], range_m: tuple[float, float]) -> Rgb:
    """Depth [m] (H, W) as a grey picture (H, W, 3): near 1, far 255, nothing seen 0."""
    near, far = range_m
    seen = np.isfinite(depth_m) & (depth_m > 0)
    share = (np.where(seen, depth_m, near) - near) / (far - near)
    grey = np.rint(1 + 254 * np.clip(share, 0, 1)).astype(np.uint8)
    return _grey(np.where(seen, grey, np.uint8(0)))


def pixels_of(
    encoding: str, height: int, width: int, step: int, data: Buffer, big_endian: bool
) -> npt.NDArray[Any]:
    """The pixels without what lies between the rows. Shape (H, W, channels).

    Raises:
        ImageError: an empty image, or a step or size that does not fit.
    """
    default = "u2" if encoding.endswith("16") else "u1"
    kind = np.dtype(_TYPES.get(encoding, default)).newbyteorder(">" if big_endian else "<")
    channels = _CHANNELS.get(encoding, 1)
    if height <= 0 or width <= 0:
        raise ImageError(f"image is {width}x{height} (width x height); expected at least 1x1")
    row = width * channels * kind.itemsize
    if step < row:
        raise ImageError(
            f"image step is {step} bytes; expected at least {row} ({width} pixels of {encoding})"
        )
    flat = np.frombuffer(data, dtype=np.uint8)
    if flat.size != step * height:
        raise ImageError(
            f"image data has {flat.size} bytes; expected {step * height} "
            f"({height} rows of {step} bytes)"
        )
    rows = flat.reshape(height, step)[:, :row]
    if kind.itemsize > 1:
        rows = np.ascontiguousarray(rows).view(kind)
        return rows.reshape(height, width, channels)
    return np.lib.stride_tricks.as_strided(
        rows, shape=(height, width, channels), strides=(step, channels, 1), writeable=False
    )


def _viewed(encoding: str, pixels: npt.NDArray[Any]) -> Rgb:
    bytes_ = pixels.view(np.uint8)
    if encoding == "mono8":
        return np.broadcast_to(bytes_, (*bytes_.shape[:2], 3))
    rgb: Rgb = bytes_[..., 2::-1] if encoding.startswith("bgr") else bytes_[..., :3]
    rgb.setflags(write=False)
    return rgb


def _grey(values: Rgb) -> Rgb:
    values.setflags(write=False)
    return np.broadcast_to(values[..., None], (*values.shape, 3))
