"""Messages that join the state vector -> arrays, in the order that the observer takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import PoseStamped, WrenchStamped
from nav_msgs.msg import Odometry

FloatArray = npt.NDArray[np.float64]


def odometry_sample(message: Odometry) -> FloatArray:
    """(x, y, yaw) in the odometry frame and (vx, vy, vyaw) in the base's. Shape (6,)."""
    pose, twist = message.pose.pose, message.twist.twist
    q = pose.orientation
    yaw = np.arctan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
    return np.array(
        [pose.position.x, pose.position.y, yaw, twist.linear.x, twist.linear.y, twist.angular.z]
    )


def pose_sample(message: PoseStamped) -> FloatArray:
    """(x, y, z, qx, qy, qz, qw). Shape (7,)."""
    p, q = message.pose.position, message.pose.orientation
    return np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w])


def wrench_sample(message: WrenchStamped) -> FloatArray:
    """(fx, fy, fz, tx, ty, tz). Shape (6,)."""
    f, t = message.wrench.force, message.wrench.torque
    return np.array([f.x, f.y, f.z, t.x, t.y, t.z])
