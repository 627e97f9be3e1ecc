"""Camera images, where this machine can render."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vla_ros.sim import gl
from vla_ros.sim.robot import SimRobot
from vla_ros.sim.truth import SimError


def can_render() -> bool:
    try:
        gl.choose_backend()
    except gl.NoGraphics:
        return False
    return True


needs_gl = pytest.mark.skipif(not can_render(), reason=f"no EGL or OSMesa: {gl.APT_COMMAND}")


@needs_gl
def test_the_front_image_shows_the_cubes_where_they_are_in_dataset_space() -> None:
    robot = SimRobot(0)
    image = robot.render("front")
    assert image.shape == (360, 480, 3)
    assert image.dtype == np.uint8
    small = cv2.resize(image[:, 60:420], (96, 96), interpolation=cv2.INTER_AREA).astype(int)
    truth = robot.truth()
    for cube, channel in (("red cube", 0), ("green cube", 1), ("blue cube", 2)):
        row, column = _project(truth.objects[cube].position)
        patch = small[row - 1 : row + 2, column - 1 : column + 2].mean(axis=(0, 1))
        others = [patch[c] for c in range(3) if c != channel]
        assert patch[channel] > 1.5 * max(others), f"{cube} at {row}, {column}: {patch}"
    robot.close()


@needs_gl
def test_the_wrist_image_moves_with_the_arm() -> None:
    robot = SimRobot(0)
    before = robot.render("wrist")
    robot.place_arm(robot.truth().arm + np.array([0.2, 0, 0, 0, 0, 0]), 0.042)
    assert np.abs(robot.render("wrist").astype(int) - before).mean() > 3
    robot.close()


@needs_gl
def test_an_image_is_repeatable() -> None:
    robot = SimRobot(0)
    np.testing.assert_array_equal(robot.render("front"), robot.render("front"))
    with pytest.raises(SimError, match="front, wrist"):
        robot.render("back")
    robot.close()


def test_without_graphics_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(gl, "_PROBES", {"egl": lambda: "no", "osmesa": lambda: "nor this"})
    with pytest.raises(gl.NoGraphics, match="apt-get install"):
        gl.choose_backend()


def test_osmesa_is_taken_where_egl_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(gl, "_PROBES", {"egl": lambda: "no", "osmesa": lambda: None})
    assert gl.choose_backend() == "osmesa"


def _project(position: np.ndarray) -> tuple[int, int]:
    """Pixel of a point in the 96 x 96 front image."""
    eye = np.array([0.72, 0.0, 0.72])
    right, up = np.array([0.0, 1.0, 0.0]), np.array([-0.87595, 0.0, 0.48241])
    forward = -np.cross(right, up)
    ray = position - eye
    scale = 48 / np.tan(np.radians(20)) / (ray @ forward)
    return round(48 - scale * (ray @ up) - 0.5), round(48 + scale * (ray @ right) - 0.5)
