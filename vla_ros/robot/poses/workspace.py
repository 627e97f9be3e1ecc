"""The task-space guard: would this path leave the workspace?

Every point to watch is a ball on a link; its distances to the bounds are signed, positive inside
the allowed space. Asked with the path of the quickest stop it answers in time: as long as that path
stays inside, a stop does.

Axis letters: K watched points, n rows of a path.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.workspace import BoxSpec, SphereSpec, WorkspaceSpec

FloatArray = npt.NDArray[np.float64]

TOLERANCE_M = 1e-4
"""A breach that is no deeper than this is none."""


class Workspace:
    """Bounds of one robot.

    Args:
        spec: From the robot file.
        kinematics: Of the joints that are commanded.
    """

    def __init__(self, spec: WorkspaceSpec, kinematics: Kinematics) -> None:
        self._kinematics = kinematics
        self._points = spec.points
        self._links = tuple(point.link for point in spec.points)
        self._offsets = np.array([point.offset for point in spec.points], dtype=np.float64)
        self._radii = np.array([point.radius for point in spec.points], dtype=np.float64)
        self._bounds: list[tuple[str, Callable[[FloatArray], FloatArray]]] = []
        if spec.box is not None:
            box = spec.box
            self._bounds.append(("leave the box", lambda p: -_outside_of(box, p)))
        if spec.table_z is not None:
            table_z = spec.table_z
            self._bounds.append(("touch the table", lambda p: p[..., 2] - table_z))
        for i, shape in enumerate(spec.keep_out):
            self._bounds.append((f"enter keep_out[{i}]", _distance_to(shape)))
        kinematics.several(np.zeros((1, len(kinematics.joints))), self._links)  # names are checked

    def clearance(self, path: FloatArray) -> FloatArray:
        """Signed distance of each point to each of M bounds, in [m]; negative is a breach.

        Args:
            path: Joint positions. Shape (n, N).

        Returns:
            Shape (n, M, K).
        """
        positions, rotations = self._kinematics.several(path, self._links)
        centres = positions + np.einsum("nkij,kj->nki", rotations, self._offsets)
        return np.stack([distance(centres) - self._radii for _, distance in self._bounds], axis=1)

    def breach(self, path: FloatArray) -> str:
        """What is wrong with a path, in words; empty where nothing is.

        A robot that is outside at the path's first row may come back, but go no further.

        Args:
            path: Joint positions, from where the robot is on. Shape (n, N).
        """
        clearance = self.clearance(path)
        allowed = np.minimum(clearance[0] - 1e-9, -TOLERANCE_M)
        excess = allowed - clearance.min(axis=0)
        bound, point = (int(i) for i in np.unravel_index(np.argmax(excess), excess.shape))
        if excess[bound, point] <= 0.0:
            return ""
        return (
            f"'{self._points[point].name}' would {self._bounds[bound][0]} of the workspace by "
            f"{-clearance[:, bound, point].min():.3f} m; move it back with go_to or by hand, or "
            "correct the workspace in the robot file, then resume"
        )


def workspace_of(spec: RobotSpec, urdf: str | None) -> Workspace | None:
    """The workspace that a robot file declares, if it does.

    Args:
        spec: The robot file.
        urdf: Text of its URDF.

    Raises:
        KinematicsError: There is no URDF, or a joint or link is not in it.
    """
    if spec.workspace is None:
        return None
    if urdf is None:
        raise KinematicsError("a workspace needs the robot's URDF; name it under urdf")
    slices = spec.in_joints().action
    joints = [name for part in slices if part.kind == "position" for name in part.names]
    return Workspace(spec.workspace, Kinematics(urdf, joints, spec.base_frame))


def _outside_of(box: BoxSpec, p: FloatArray) -> FloatArray:
    """Signed distance to a box: positive outside, negative inside. Shape (..., 3) -> (...)."""
    q = np.maximum(np.array(box.lower) - p, p - np.array(box.upper))
    away = np.linalg.norm(np.maximum(q, 0.0), axis=-1)
    return np.asarray(away + np.minimum(q.max(axis=-1), 0.0))


def _distance_to(shape: BoxSpec | SphereSpec) -> Callable[[FloatArray], FloatArray]:
    if isinstance(shape, BoxSpec):
        return lambda p: _outside_of(shape, p)
    centre = np.array(shape.centre)
    return lambda p: np.linalg.norm(p - centre, axis=-1) - shape.radius
