"""vla_ros_msgs/SimState <-> ``sim.SimTruth``, and controller messages for the simulated robot.

Here and not in ``ros.conversions``: only nodes may know the simulator.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point, Pose, Quaternion
from trajectory_msgs.msg import JointTrajectory
from vla_ros_msgs.msg import SimState

from vla_ros.ros.conversions.arrays import doubles, packed
from vla_ros.ros.conversions.times import header, ns_from
from vla_ros.sim.controllers import TrajectoryMessage
from vla_ros.sim.truth import ObjectPose, SimTruth


def truth_msg(truth: SimTruth, base_frame: str) -> SimState:
    """Truth -> message."""
    return SimState(
        header=header(truth.stamp_ns, base_frame),
        qpos=packed(truth.qpos, "d"),
        qvel=packed(truth.qvel, "d"),
        object_names=list(truth.objects),
        object_poses=[_pose_msg(pose) for pose in truth.objects.values()],
        seed=truth.seed,
    )


def truth_from(message: SimState) -> SimTruth:
    """Message -> truth."""
    return SimTruth(
        stamp_ns=ns_from(message.header.stamp),
        qpos=doubles(message.qpos),
        qvel=doubles(message.qvel),
        objects={
            name: _pose_from(pose)
            for name, pose in zip(message.object_names, message.object_poses, strict=True)
        },
        seed=message.seed,
    )


def trajectory_from(message: JointTrajectory) -> TrajectoryMessage:
    """What a trajectory controller reads from its topic; the controller judges it.

    A field that only some points fill comes out with fewer rows than points, and is refused.
    """
    points = message.points
    return TrajectoryMessage(
        stamp_ns=ns_from(message.header.stamp),
        joint_names=tuple(message.joint_names),
        time_from_start_ns=np.array([ns_from(p.time_from_start) for p in points], dtype=np.int64),
        positions=_rows([p.positions for p in points], len(message.joint_names)),
        velocities=_optional([p.velocities for p in points], len(message.joint_names)),
        accelerations=_optional([p.accelerations for p in points], len(message.joint_names)),
    )


def _optional(rows: list[object], width: int) -> npt.NDArray[np.float64] | None:
    return _rows(rows, width) if any(len(row) for row in rows) else None  # type: ignore[arg-type]


def _rows(rows: list[object], width: int) -> npt.NDArray[np.float64]:
    whole = [row for row in rows if len(row) == width]  # type: ignore[arg-type]
    return np.array(whole, dtype=np.float64).reshape(-1, width)


def _pose_msg(pose: ObjectPose) -> Pose:
    w, x, y, z = pose.quaternion.tolist()
    px, py, pz = pose.position.tolist()
    return Pose(position=Point(x=px, y=py, z=pz), orientation=Quaternion(x=x, y=y, z=z, w=w))


def _pose_from(pose: Pose) -> ObjectPose:
    p, q = pose.position, pose.orientation
    return ObjectPose(position=np.array([p.x, p.y, p.z]), quaternion=np.array([q.w, q.x, q.y, q.z]))
