"""Where each camera sees each thing: labels for learning to look."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import numpy.typing as npt

from vla_ros.sim.cameras import CAMERAS
from vla_ros.sim.model import load_model
from vla_ros.sim.truth import BINS, CUBES, SimTruth


class Projector:
    """Projects the middles of cubes and bins into the cameras' images, occluded or not."""

    def __init__(self) -> None:
        self._model = load_model()
        self._data = mujoco.MjData(self._model)
        self._ids = [self._model.camera(name).id for name in CAMERAS]

    def __call__(self, truth: SimTruth) -> npt.NDArray[np.float32]:
        """Image positions of `CUBES`, then `BINS`, in each of `CAMERAS`.

        Returns:
            x to the right and y down from the image's middle, in units of half the image's
            height; something behind the camera gets infinity. Shape (C, P, 2).
        """
        points = np.array([truth.objects[name].position for name in (*CUBES, *BINS)])
        return self.project(truth.qpos[:8], points)

    def project(
        self, joints: npt.NDArray[np.float64], points: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """As `__call__`, from joints, Shape (8,), and positions in the base frame, Shape (P, 3)."""
        self._data.qpos[:8] = joints
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        found = np.empty((len(self._ids), len(points), 2), np.float32)
        for row, camera in enumerate(self._ids):
            rotation = self._data.cam_xmat[camera].reshape(3, 3)
            local = (points - self._data.cam_xpos[camera]) @ rotation
            depth = -local[:, 2:]  # a camera looks along its negative z axis
            tangent = math.tan(math.radians(self._model.cam_fovy[camera]) / 2)
            with np.errstate(divide="ignore"):
                image = local[:, :2] * (1.0, -1.0) / (np.maximum(depth, 0.0) * tangent)
            found[row] = np.where(depth > 0.0, image, np.inf)
        return found
