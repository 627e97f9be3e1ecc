"""The state vector of one instant, from what the synchroniser matched.

The poses of links are forward kinematics of the very joint positions that were matched, so they
belong to the same instant as these.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.robot.senses.state_streams import elements, sample_size
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.state import LinkPoseSpec
from vla_ros.spaces.rotations import from_matrix

FloatArray = npt.NDArray[np.float64]


class StateVector:
    """Puts one robot's state together.

    Args:
        spec: The robot.

    Raises:
        KinematicsError: There is no URDF, a link is not in it, or its pose depends on a joint
            that is not measured.
    """

    def __init__(self, spec: RobotSpec) -> None:
        state = spec.state
        self._sources = (state, *state.sources)
        joints = [name for source in state.joint_sources for name in source.joints]
        names = [name for _, _, part in state.all_parts for name in part]
        self._poses = [_pose_of(spec, pose, joints, names) for pose in state.poses]
        order = [names.index(name) for name in state.names]
        self._order = None if order == list(range(len(names))) else np.array(order)
        self._as_it_comes = len(self._sources) == 1 and not self._poses and self._order is None

    def __call__(self, matched: FloatArray) -> FloatArray:
        """The vector from the samples of all sources, one after the other. Read-only."""
        if self._as_it_comes:
            return matched
        parts, first = [], 0
        for source in self._sources:
            last = first + sample_size(source)
            parts.append(elements(source, matched[first:last]))
            first = last
        known = np.concatenate(parts)
        for pose, kinematics, columns in self._poses:
            position, rotation = kinematics.poses(known[None, columns], pose.link)
            parts += [position[0], from_matrix(pose.rotation, rotation[0])]
        state = np.concatenate(parts)
        if self._order is not None:
            state = state[self._order]
        state.setflags(write=False)
        return state


_Pose = tuple[LinkPoseSpec, Kinematics, npt.NDArray[np.int64]]


def _pose_of(spec: RobotSpec, pose: LinkPoseSpec, joints: list[str], names: list[str]) -> _Pose:
    if spec.urdf_text is None:
        raise KinematicsError(f"pose '{pose.name}' needs the robot's URDF; name it under urdf")
    frame = pose.frame or spec.base_frame
    tree = Kinematics(spec.urdf_text, (), frame)
    ours, above = tree.moving(pose.link), tree.moving(frame)
    needed = [j for j in ours if j not in above] + [j for j in above if j not in ours]
    unknown = [joint for joint in needed if joint not in joints]
    if unknown:
        raise KinematicsError(
            f"the pose '{pose.name}' of '{pose.link}' in '{frame}' depends on "
            f"{', '.join(unknown)}, which the state does not have; add them to its joints, or name "
            "another frame"
        )
    columns = np.array([names.index(joint) for joint in needed], dtype=np.int64)
    return pose, Kinematics(spec.urdf_text, needed, frame), columns
