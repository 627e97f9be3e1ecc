"""Camera images of the simulated world.

Real shadow maps and multisampling cost ten times the rest in software rendering, so both are off;
soft dark patches below the cubes and the gripper stand in for shadows.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
import numpy.typing as npt

from vla_ros.sim.gl import create_context
from vla_ros.sim.model import BIN_FLOOR_Z, BIN_INSIDE, CUBE_HALF, body_name
from vla_ros.sim.truth import BINS, CUBES, Array, SimError

CAMERAS = ("front", "wrist")

_LIGHT_SLOPE = (-0.30, -0.26)
"""Horizontal way of the key light for each metre down."""
_RINGS = ((1.02, 0.24), (1.22, 0.10))
"""Size and darkness of the core and of the soft edge."""
_CUBE = (CUBE_HALF, CUBE_HALF)
_HAND = {"palm": (0.022, 0.064), "left_finger": (0.011, 0.006), "right_finger": (0.011, 0.006)}
"""Half sizes of what the hand's geoms show from above, along their z and y axes, in [m]."""


def _about_z(axis: Array) -> Array:
    """Rotation about z, row-major, that brings x to the heading of `axis`. Shape (9,)."""
    length = math.hypot(axis[0], axis[1]) or 1.0
    c, s = axis[0] / length, axis[1] / length
    return np.array([c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0])


class Cameras:
    """Renders one world's cameras; created on first use, because a GL context belongs to a thread.

    Args:
        model: The compiled model.
        data: Its state, read at each `render`.
        width: Of the images, in [px].
        height: Likewise.

    Raises:
        NoGraphics: Images cannot be rendered on this machine.
    """

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, *, width: int, height: int
    ) -> None:
        self._model, self._data = model, data
        self._context = create_context(width, height)
        self._context.make_current()
        self._scene = mujoco.MjvScene(model, maxgeom=200)
        self._options = mujoco.MjvOption()
        self._renderer = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._renderer)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), dtype=np.uint8)
        self._views = {}
        for name in CAMERAS:
            view = mujoco.MjvCamera()
            view.type = mujoco.mjtCamera.mjCAMERA_FIXED
            view.fixedcamid = model.camera(name).id
            self._views[name] = view
        self._cubes = [model.body(body_name(n)).id for n in CUBES]
        self._bins = [model.body(body_name(n)).id for n in BINS]
        self._hand = [(model.geom(name).id, half) for name, half in _HAND.items()]

    def render(self, camera: str) -> npt.NDArray[np.uint8]:
        """Render one camera now.

        Returns:
            RGB. Shape (H, W, 3).

        Raises:
            SimError: There is no such camera.
        """
        if camera not in self._views:
            raise SimError(f"no camera '{camera}'; cameras: {', '.join(CAMERAS)}")
        self._context.make_current()
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            self._options,
            None,
            self._views[camera],
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )
        self._shadows()
        mujoco.mjr_render(self._rectangle, self._scene, self._renderer)
        mujoco.mjr_readPixels(self._pixels, None, self._rectangle, self._renderer)
        return self._pixels[::-1].copy()

    def close(self) -> None:
        """Free the graphics memory; calling it twice is harmless."""
        if self._context is not None:
            self._context.make_current()
            self._renderer.free()
            self._context.free()
            self._context = None

    def _shadows(self) -> None:
        """Add the shadows of the cubes, the palm and the fingers."""
        data = self._data
        for body in self._cubes:
            R = data.xmat[body].reshape(3, 3)
            side = R[:, 0] if abs(R[2, 0]) < 0.7 else R[:, 1]
            self._shadow(data.xpos[body], _about_z(side), _CUBE)
        for geom, half in self._hand:
            R = data.geom_xmat[geom].reshape(3, 3)
            self._shadow(data.geom_xpos[geom], _about_z(R[:, 2]), half)

    def _shadow(self, position: Array, rotation: Array, half: tuple[float, float]) -> None:
        """Add the soft shadow of a box: its outline moved along the light to what lies below."""
        x, y, z = (float(value) for value in position)
        ground = 0.0009
        for body in self._bins:
            bx, by, _ = self._data.xpos[body]
            if abs(x - bx) < BIN_INSIDE[0] and abs(y - by) < BIN_INSIDE[1]:
                ground = BIN_FLOOR_Z + 0.0004
        height = max(0.0, z - ground)
        x += _LIGHT_SLOPE[0] * height
        y += _LIGHT_SLOPE[1] * height
        for number, (scale, darkness) in enumerate(_RINGS):
            geom = self._scene.geoms[self._scene.ngeom]
            spread = scale + 0.6 * height * number
            mujoco.mjv_initGeom(
                geom,
                mujoco.mjtGeom.mjGEOM_BOX.value,
                np.array([spread * half[0], spread * half[1], 0.0001]),
                np.array([x, y, ground + 0.0002 * number]),
                rotation,
                np.array([0.05, 0.05, 0.07, darkness / (1.0 + 3.0 * height)], dtype=np.float32),
            )
            geom.specular = 0.0
            self._scene.ngeom += 1
