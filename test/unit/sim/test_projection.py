"""Labels of where things appear agree with what the renderer draws."""

from __future__ import annotations

import numpy as np
import pytest

from vla_ros.sim.cameras import CAMERAS
from vla_ros.sim.projection import Projector
from vla_ros.sim.robot import SimRobot
from vla_ros.sim.truth import CUBES

CHANNEL = {"red cube": 0, "green cube": 1}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_cube_is_where_its_colour_is(seed: int) -> None:
    robot = SimRobot(seed)
    robot.step(100_000_000)
    found = Projector()(robot.truth())
    for c, camera in enumerate(CAMERAS):
        image = robot.render(camera).astype(int)
        height, width, _ = image.shape
        for cube, channel in CHANNEL.items():
            x, y = found[c, CUBES.index(cube)]
            column = round((x * height + width) / 2)
            row = round((y + 1) * height / 2)
            if not (0 <= row < height and 0 <= column < width):
                continue
            patch = image[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3).mean(axis=0)
            assert patch.argmax() == channel, (camera, cube, patch)
            others = np.delete(patch, channel)
            assert patch[channel] > 1.5 * others.max()
