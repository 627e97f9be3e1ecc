"""The MuJoCo model of robot and table, and the numbers that belong to it."""

from __future__ import annotations

from importlib import resources

import mujoco
import numpy as np

PHYSICS_NS = 2_500_000
"""Time of one physics step, in [ns]."""

HOME = np.array([0.0, 0.10, 0.15, 0.0, 1.3208, 0.0])
"""Home pose of the arm, in [rad]: hand down, about 0.24 m above the middle of the table."""
HOME.setflags(write=False)

BIN_INSIDE = (0.070, 0.055)
"""Half lengths of a bin's floor along x and y, in [m]."""
BIN_FLOOR_Z = 0.003
CUBE_HALF = 0.02
"""Half an edge of a cube, in [m]."""


def load_model() -> mujoco.MjModel:
    """Compile ``sim_arm.xml``."""
    text = resources.files("vla_ros.sim").joinpath("sim_arm.xml").read_text()
    return mujoco.MjModel.from_xml_string(text)


def body_name(thing: str) -> str:
    """Name in the model of what we call, for example, ``red cube``."""
    return thing.replace(" ", "_")
