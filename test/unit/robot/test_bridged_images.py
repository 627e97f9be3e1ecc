"""Encodings left to cv_bridge: said where it cannot be used, used where it is installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from vla_ros.cli.latency_sources import picture_reader
from vla_ros.robot.load import load_robot
from vla_ros.robot.senses.bridged_images import BRIDGED_ENCODINGS, BridgedImages, BridgeMissing
from vla_ros.robot.senses.sight import Sight
from vla_ros.robot.spec.streams import CameraSpec
from vla_ros.spaces.raw_images import ENCODINGS, ImageError, decode_image
from vla_ros.sync import Frame, Refusal

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
WIDE = RNG.integers(0, 1 << 16, (6, 8, 4), dtype=np.uint16)
CHANNELS = {"rgb16": 3, "bgr16": 3, "rgba16": 4, "bgra16": 4}
EIGHT_BITS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
EIGHT_BITS |= {"bayer_rggb8": 1, "bayer_bggr8": 1, "bayer_gbrg8": 1, "bayer_grbg8": 1}
EIGHT_BITS |= {"yuv422": 2, "yuv422_yuy2": 2}  # uyvy and yuyv are unknown to it
BAYER = {
    "bayer_rggb16": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr16": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg16": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg16": cv2.COLOR_BayerGB2RGB,
}

# It skews rows as the real one does, and reads one order of bytes as that does beside numpy 2.
STAND_IN = """
import numpy

class CvBridge:
    def imgmsg_to_cv2(self, message, desired_encoding):
        assert desired_encoding == "rgb8" and not message.is_bigendian
        pixels = numpy.ndarray((message.height, message.step // 6, 3), "<u2", message.data)
        return (pixels[:, :message.width] >> 8).astype(numpy.uint8)
"""
NONE = "raise ModuleNotFoundError('there is no cv_bridge here')"
OTHER_NUMPY = """
import os, signal

class CvBridge:
    def imgmsg_to_cv2(self, message, desired_encoding):
        os.kill(os.getpid(), signal.SIGSEGV)
"""


def camera(encoding: str) -> CameraSpec:
    values = load_robot("sim_arm").camera("front").model_dump()
    size = {"raw_height": 6, "raw_width": 8, "height": 6, "width": 8, "crop": None}
    return CameraSpec.model_validate({**values, **size, "encoding": encoding})


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts a module before any cv_bridge that is installed, for other processes, too."""

    def put(text: str) -> None:
        (tmp_path / "cv_bridge.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)

    installed = {n: sys.modules.pop(n) for n in list(sys.modules) if n.split(".")[0] == "cv_bridge"}
    yield put
    sys.modules.pop("cv_bridge", None)
    sys.modules.update(installed)


def rows(pixels: np.ndarray, big_endian: bool = False, padding: int = 5) -> tuple[int, bytes]:
    """The step and the bytes of 16-bit pixels (H, W, channels)."""
    wide = pixels.astype(">u2" if big_endian else "<u2")
    packed = wide.reshape(len(wide), -1).view(np.uint8)
    padded = np.pad(packed, ((0, 0), (0, padding)), constant_values=9)
    return padded.shape[1], padded.tobytes()


@pytest.mark.parametrize(
    ("module", "reason"), [(NONE, "there is no cv_bridge here"), (OTHER_NUMPY, "another numpy")]
)
def test_a_camera_that_needs_a_cv_bridge_without_use_is_refused_at_once_with_the_alternatives(
    install: Callable[[str], None], module: str, reason: str
) -> None:
    install(module)
    with pytest.raises(BridgeMissing, match=rf"{reason}.*ros-jazzy-cv-bridge.*rgb8") as caught:
        Sight(camera("bayer_rggb16"))
    assert "bayer_rggb16" in str(caught.value)


@pytest.mark.parametrize("big_endian", [False, True])
def test_with_cv_bridge_its_picture_goes_the_way_of_all_pictures(
    install: Callable[[str], None], big_endian: bool
) -> None:
    install(STAND_IN)
    step, data = rows(RGB.astype(np.uint16) << 8, big_endian)
    frame = Sight(camera("rgb16")).read("rgb16", 6, 8, step, data, big_endian=big_endian)
    assert isinstance(frame, Frame)
    np.testing.assert_array_equal(frame.rgb, RGB)


def test_the_calibration_of_latencies_reads_with_cv_bridge_too(
    install: Callable[[str], None],
) -> None:
    install(STAND_IN)
    step, data = rows(RGB.astype(np.uint16) << 8)
    message = SimpleNamespace(
        encoding="rgb16", height=6, width=8, step=step, data=data, is_bigendian=0
    )
    np.testing.assert_array_equal(picture_reader(camera("rgb16"))(message), RGB)


def test_what_cv_bridge_cannot_read_is_refused_in_its_words(
    install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise TypeError("no way to rgb8")

    install(STAND_IN)
    sight = Sight(camera("rgb16"))
    monkeypatch.setattr(importlib.import_module("cv_bridge").CvBridge, "imgmsg_to_cv2", refuse)
    refusal = sight.read("rgb16", 6, 8, *rows(WIDE[..., :3]))
    assert isinstance(refusal, Refusal)
    assert "no way to rgb8" in refusal.got


@pytest.mark.parametrize(("step", "size"), [(47, 282), (48, 287), (48, 289)])
def test_bytes_that_are_no_whole_picture_do_not_reach_cv_bridge(
    install: Callable[[str], None], step: int, size: int
) -> None:
    install(STAND_IN)
    with pytest.raises(ImageError, match=r"step is|data has"):
        BridgedImages("rgb16").read(6, 8, step, bytes(size), False)


def test_cv_bridge_is_asked_only_for_what_we_do_not_read_ourselves() -> None:
    assert not set(BRIDGED_ENCODINGS) & set(ENCODINGS)


def by_opencv(encoding: str, pixels: np.ndarray) -> np.ndarray:
    """Sixteen bits as RGB in eight, rounded, as OpenCV's convertTo scales them."""
    if encoding in BAYER:
        wide = cv2.cvtColor(pixels, BAYER[encoding])
    else:
        wide = pixels[..., :3] if encoding.startswith("rgb") else pixels[..., 2::-1]
    return np.rint(wide / 257).astype(np.uint8)


def test_the_installed_cv_bridge_reads_what_is_left_to_it() -> None:
    pytest.importorskip("cv_bridge", reason="cv_bridge comes with a ROS installation only")
    for encoding in BRIDGED_ENCODINGS:
        images = BridgedImages(encoding)
        pixels = np.ascontiguousarray(WIDE[..., : CHANNELS.get(encoding, 1)])
        for big_endian in (False, True):
            for padding in (0, 2, 5, 16):  # steps of whole elements, of none, of whole pixels
                step, data = rows(pixels, big_endian, padding)
                rgb = images.read(6, 8, step, data, big_endian)
                np.testing.assert_array_equal(rgb, by_opencv(encoding, pixels), err_msg=encoding)


def test_the_installed_cv_bridge_agrees_with_us_on_eight_bits() -> None:
    bridge: Any = pytest.importorskip(
        "cv_bridge", reason="cv_bridge comes with a ROS installation only"
    ).CvBridge()
    for encoding, size in EIGHT_BITS.items():
        data = RNG.integers(0, 256, 6 * 8 * size, dtype=np.uint8)
        message = SimpleNamespace(
            encoding=encoding, height=6, width=8, step=8 * size, data=data, is_bigendian=0
        )
        theirs = bridge.imgmsg_to_cv2(message, desired_encoding="rgb8")
        ours = decode_image(encoding, 6, 8, 8 * size, data)
        np.testing.assert_array_equal(theirs, ours, err_msg=encoding)
