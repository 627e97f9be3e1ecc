"""Encodings left to cv_bridge: said where it is missing, used where it is installed."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vla_ros.cli.latency_sources import picture_reader
from vla_ros.robot.load import load_robot
from vla_ros.robot.senses.bridged_images import BRIDGED_ENCODINGS, BridgedImages, BridgeMissing
from vla_ros.robot.senses.sight import Sight
from vla_ros.robot.spec.streams import CameraSpec
from vla_ros.spaces.raw_images import ENCODINGS, ImageError
from vla_ros.sync import Frame, Refusal

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def camera(encoding: str) -> CameraSpec:
    values = load_robot("sim_arm").camera("front").model_dump()
    size = {"raw_height": 6, "raw_width": 8, "height": 6, "width": 8, "crop": None}
    return CameraSpec.model_validate({**values, **size, "encoding": encoding})


class Bridge:
    """Reads rgb16 by its own rule, as a stranger's code would."""

    def imgmsg_to_cv2(self, message: Any, desired_encoding: str) -> np.ndarray:
        if message.encoding != "rgb16" or desired_encoding != "rgb8":
            raise RuntimeError(f"no way from {message.encoding} to {desired_encoding}")
        kind = np.dtype(np.uint16).newbyteorder(">" if message.is_bigendian else "<")
        rows = message.data.reshape(message.height, message.step)[:, : 6 * message.width]
        pixels = np.ascontiguousarray(rows).view(kind)
        return (pixels.reshape(message.height, message.width, 3) >> 8).astype(np.uint8)


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("cv_bridge")
    stand_in.CvBridge = Bridge  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv_bridge", stand_in)


def rgb16(big_endian: bool) -> bytes:
    wide = (RGB.astype(np.uint16) << 8).astype(">u2" if big_endian else "<u2")
    return np.pad(wide.view(np.uint8).reshape(6, 48), ((0, 0), (0, 5))).tobytes()


def test_without_cv_bridge_a_camera_that_needs_it_is_refused_at_once_with_the_alternatives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    with pytest.raises(BridgeMissing, match=r"ros-jazzy-cv-bridge.*rgb8") as caught:
        Sight(camera("bayer_rggb16"))
    assert "bayer_rggb16" in str(caught.value)


@pytest.mark.usefixtures("bridge")
@pytest.mark.parametrize("big_endian", [False, True])
def test_with_cv_bridge_its_picture_goes_the_way_of_all_pictures(big_endian: bool) -> None:
    frame = Sight(camera("rgb16")).read("rgb16", 6, 8, 53, rgb16(big_endian), big_endian=big_endian)
    assert isinstance(frame, Frame)
    np.testing.assert_array_equal(frame.rgb, RGB)


@pytest.mark.usefixtures("bridge")
def test_the_calibration_of_latencies_reads_with_cv_bridge_too() -> None:
    message = SimpleNamespace(
        encoding="rgb16", height=6, width=8, step=53, data=rgb16(False), is_bigendian=0
    )
    np.testing.assert_array_equal(picture_reader(camera("rgb16"))(message), RGB)


@pytest.mark.usefixtures("bridge")
def test_what_cv_bridge_cannot_read_is_refused_in_its_words() -> None:
    refusal = Sight(camera("nv24")).read("nv24", 6, 8, 53, rgb16(False))
    assert isinstance(refusal, Refusal)
    assert "no way from nv24 to rgb8" in refusal.got


def test_cv_bridge_is_asked_only_for_what_we_do_not_read_ourselves() -> None:
    assert not set(BRIDGED_ENCODINGS) & set(ENCODINGS)


def test_the_installed_cv_bridge_reads_sixteen_bits_of_colour() -> None:
    pytest.importorskip("cv_bridge", reason="cv_bridge comes with a ROS installation only")
    packed = (RGB.astype("<u2") * 257).tobytes()
    rgb = BridgedImages("rgb16").read(6, 8, 48, packed, False)
    assert np.abs(rgb.astype(int) - RGB).max() <= 1
    with pytest.raises(ImageError, match="cv_bridge cannot read it"):
        BridgedImages("rgb16").read(6, 8, 48, packed[:9], False)
