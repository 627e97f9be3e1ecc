"""trajectory_msgs/JointTrajectory <-> ``motion.TrajectoryWindow``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vla_ros.errors import VlaError
from vla_ros.motion import TrajectoryWindow
from vla_ros.ros.conversions.arrays import packed
from vla_ros.ros.conversions.times import duration_msg, header, ns_from


class TrajectoryError(VlaError):
    """A trajectory message that is no window of positions, velocities and accelerations."""


def trajectory_msg(window: TrajectoryWindow, joints: Sequence[str]) -> JointTrajectory:
    """Window -> message, stamped with its first point.

    Args:
        window: Absolute times; the first must not be 0, which controllers read as "now".
        joints: Names of its columns.
    """
    start_ns = int(window.t_ns[0])
    return JointTrajectory(
        header=header(start_ns),
        joint_names=list(joints),
        points=[
            JointTrajectoryPoint(
                positions=packed(position, "d"),
                velocities=packed(velocity, "d"),
                accelerations=packed(acceleration, "d"),
                time_from_start=duration_msg(int(t_ns) - start_ns),
            )
            for t_ns, position, velocity, acceleration in zip(
                window.t_ns, window.position, window.velocity, window.acceleration, strict=True
            )
        ],
    )


def window_from(message: JointTrajectory) -> TrajectoryWindow:
    """Message -> window; columns in the message's order of joints.

    Raises:
        TrajectoryError: A point lacks positions, velocities or accelerations of a joint.
    """
    count = len(message.joint_names)
    for index, point in enumerate(message.points):
        sizes = [len(point.positions), len(point.velocities), len(point.accelerations)]
        if sizes != [count] * 3:
            raise TrajectoryError(
                f"point {index} has {sizes} positions, velocities and accelerations; expected "
                f"{count} of each, one for each of {list(message.joint_names)}"
            )
    start_ns = ns_from(message.header.stamp)
    return TrajectoryWindow(
        t_ns=np.array(
            [start_ns + ns_from(point.time_from_start) for point in message.points], dtype=np.int64
        ),
        position=np.array([point.positions for point in message.points], dtype=np.float64),
        velocity=np.array([point.velocities for point in message.points], dtype=np.float64),
        acceleration=np.array([point.accelerations for point in message.points], dtype=np.float64),
    )
