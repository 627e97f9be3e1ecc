"""The task-space guard: would this path leave the workspace?

Every point to watch is a ball on a link; its distances to the bounds are signed, positive inside
the allowed space. Asked with the path of the quickest stop it answers in time: as long as that path
stays inside, a stop does.

Axis letters: K watched points, n rows of a path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.robot.poses.pose_values import Poses
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.workspace import BoxSpec, SphereSpec, WatchedPoint, WorkspaceSpec

FloatArray = npt.NDArray[np.float64]

TOLERANCE_M = 1e-4
"""A breach that is no deeper than this is none."""


class Workspace:
    """Bounds of one robot.

    Args:
        spec: From the robot file.
        kinematics: Of the joints that are commanded.
        told: Links that are commanded themselves, and where in the base frame the frame is that
            their poses are in.
    """

    def __init__(
        self, spec: WorkspaceSpec, kinematics: Kinematics, told: Mapping[str, Poses] | None = None
    ) -> None:
        self._kinematics = kinematics
        self._frames = told or {}
        self._told = {
            link: [point for point in spec.points if point.link == link] for link in self._frames
        }
        self._points = [point for point in spec.points if point.link not in self._frames]
        self._links = tuple(point.link for point in self._points)
        self._bounds: list[tuple[str, Callable[[FloatArray], FloatArray]]] = []
        if spec.box is not None:
            box = spec.box
            self._bounds.append(("leave the box", lambda p: -_outside_of(box, p)))
        if spec.table_z is not None:
            table_z = spec.table_z
            self._bounds.append(("touch the table", lambda p: p[..., 2] - table_z))
        for i, shape in enumerate(spec.keep_out):
            self._bounds.append((f"enter keep_out[{i}]", _distance_to(shape)))
        links = [point.link for point in spec.points]
        kinematics.several(np.zeros((1, len(kinematics.joints))), links)  # names are checked

    def clearance(self, path: FloatArray) -> FloatArray:
        """Signed distance of each point to each of M bounds, in [m]; negative is a breach.

        Args:
            path: Joint positions. Shape (n, N).

        Returns:
            Shape (n, M, K).
        """
        return self._clearance(self._points, *self._kinematics.several(path, self._links))

    def _clearance(
        self, points: Sequence[WatchedPoint], positions: FloatArray, rotations: FloatArray
    ) -> FloatArray:
        """Of points on K links whose poses are (n, K, 3) and (n, K, 3, 3). Shape (n, M, K)."""
        offsets = np.array([point.offset for point in points], dtype=np.float64)
        radii = np.array([point.radius for point in points], dtype=np.float64)
        centres = positions + np.einsum("nkij,kj->nki", rotations, offsets.reshape(-1, 3))
        return np.stack([distance(centres) - radii for _, distance in self._bounds], axis=1)

    def breach(self, path: FloatArray) -> str:
        """What is wrong with a path, in words; empty where nothing is.

        A robot that is outside at the path's first row may come back, but go no further.

        Args:
            path: Joint positions, from where the robot is on. Shape (n, N).
        """
        return self._words(self._points, self.clearance(path)) if self._points else ""

    def breach_of(self, link: str, poses: Poses) -> str:
        """The same for a link that is commanded itself, and a path of n poses."""
        points = self._told[link]
        if not points:
            return ""
        there = self._frames[link].times(poses)
        positions, rotations = there.position[:, None], there.rotation[:, None]
        return self._words(points, self._clearance(points, positions, rotations))

    def _words(self, points: Sequence[WatchedPoint], clearance: FloatArray) -> str:
        allowed = np.minimum(clearance[0] - 1e-9, -TOLERANCE_M)
        excess = allowed - clearance.min(axis=0)
        bound, point = (int(i) for i in np.unravel_index(np.argmax(excess), excess.shape))
        if excess[bound, point] <= 0.0:
            return ""
        return (
            f"'{points[point].name}' would {self._bounds[bound][0]} of the workspace by "
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
    kinematics = Kinematics(urdf, joints, spec.base_frame)
    return Workspace(spec.workspace, kinematics, _told(spec, spec.workspace, kinematics))


def _told(spec: RobotSpec, bounds: WorkspaceSpec, kinematics: Kinematics) -> dict[str, Poses]:
    """Links commanded by poses, and where in the base frame the frame of these is.

    Raises:
        KinematicsError: That frame moves, or a point is moved by joints that nobody commands here.
    """
    told, unknown = {}, set()
    here = set(kinematics.moving(spec.base_frame))
    for part in spec.pose_slices:
        output = spec.output(part.output)
        if output.is_pose:
            frame = part.frame or spec.base_frame
            if set(kinematics.moving(frame)) != here:
                raise KinematicsError(
                    f"the frame '{frame}' of '{part.name}' moves in '{spec.base_frame}', where the "
                    "workspace is; give its poses in a frame that does not"
                )
            base = kinematics.poses(np.zeros((1, len(kinematics.joints))), frame)
            told[part.link] = Poses(*base)[0]
            unknown |= set(output.joints)
    for point in bounds.points:
        if point.link not in told and unknown & set(kinematics.moving(point.link)):
            raise KinematicsError(
                f"point '{point.name}' is on '{point.link}', whose place only the controller of "
                f"{', '.join(told)} decides; put it on one of these links, with an offset"
            )
    return told


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
