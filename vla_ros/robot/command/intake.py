"""A driver's message into an observer, whether it came over ROS or out of a bag.

Messages are read by their fields, so nothing of ROS is needed here, and what is live and what was
recorded go one way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.senses.state_streams import AnySource, stream_name
from vla_ros.robot.senses.transforms import Transform
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.state import OdometrySource, PoseSource, TransformSource, WrenchSource
from vla_ros.robot.spec.streams import CameraSpec
from vla_ros.sync import Frame, Refusal

FloatArray = npt.NDArray[np.float64]


def message_type(source: CameraSpec | AnySource) -> str:
    """What its topic carries, for example ``sensor_msgs/msg/Image``."""
    if isinstance(source, CameraSpec):
        return f"sensor_msgs/msg/{'Image' if source.transport == 'raw' else 'CompressedImage'}"
    if isinstance(source, OdometrySource):
        return "nav_msgs/msg/Odometry"
    if isinstance(source, PoseSource):
        return "geometry_msgs/msg/PoseStamped"
    if isinstance(source, WrenchSource):
        return "geometry_msgs/msg/WrenchStamped"
    if isinstance(source, TransformSource):
        return "tf2_msgs/msg/TFMessage"
    return "sensor_msgs/msg/JointState"


def sources_of(spec: RobotSpec) -> tuple[CameraSpec | AnySource, ...]:
    """Everything that is observed: the cameras, then the parts of the state."""
    return (*spec.cameras, spec.state, *spec.state.sources)


def stream_of(source: CameraSpec | AnySource) -> str:
    """Its name in reports."""
    return source.key if isinstance(source, CameraSpec) else stream_name(source)


def stamp_of(message: Any) -> int:
    """Its header's stamp [ns]; the newest of a message of transforms."""
    if hasattr(message, "transforms"):
        return max((stamp_of(transform) for transform in message.transforms), default=0)
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def topics(source: CameraSpec | AnySource) -> tuple[str, ...]:
    """The topics that it reads."""
    if isinstance(source, TransformSource):
        return source.topic, source.static_topic
    return (source.topic,)


def decode(observer: Observer, camera: CameraSpec, message: Any) -> Frame | Refusal:
    """A camera's message for ``Observer.push_decoded``; from any thread."""
    data = np.frombuffer(message.data, dtype=np.uint8)
    if camera.transport == "compressed":
        return observer.decode_compressed(camera.key, data)
    return observer.decode(
        camera.key,
        encoding=message.encoding,
        height=message.height,
        width=message.width,
        step=message.step,
        data=data,
        big_endian=bool(message.is_bigendian),
    )


def push(
    observer: Observer,
    source: CameraSpec | AnySource,
    message: Any,
    now_ns: int,
    *,
    topic: str = "",
) -> Refusal | None:
    """Takes a message in; why it was refused, or None.

    Args:
        observer: What it goes into.
        source: What it comes from.
        message: With the fields of `message_type`.
        now_ns: Now, ROS time.
        topic: Which of the source's topics it came on; by default the first.
    """
    if isinstance(source, TransformSource):
        static = topic == source.static_topic
        found = [_transform(item) for item in message.transforms]
        return observer.push_transforms(stream_name(source), found, now_ns, static=static)
    stamp_ns = stamp_of(message)
    if isinstance(source, CameraSpec):
        return observer.push_decoded(
            source.key, stamp_ns, decode(observer, source, message), now_ns
        )
    stream = stream_name(source)
    if isinstance(source, OdometrySource):
        return observer.push_vector(stream, stamp_ns, odometry_sample(message), now_ns)
    if isinstance(source, PoseSource):
        return observer.push_vector(stream, stamp_ns, pose_sample(message), now_ns)
    if isinstance(source, WrenchSource):
        return observer.push_vector(stream, stamp_ns, wrench_sample(message), now_ns)
    return observer.push_joint_arrays(
        stamp_ns, message.name, message.position, now_ns, stream, message.velocity
    )


def _transform(message: Any) -> Transform:
    p, q = message.transform.translation, message.transform.rotation
    return Transform(
        parent=message.header.frame_id.lstrip("/"),
        child=message.child_frame_id.lstrip("/"),
        stamp_ns=stamp_of(message),
        pose=np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w]),
    )


def odometry_sample(message: Any) -> FloatArray:
    """(x, y, yaw) in the odometry frame and (vx, vy, vyaw) in the base's. Shape (6,)."""
    pose, twist = message.pose.pose, message.twist.twist
    q = pose.orientation
    yaw = np.arctan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
    return np.array(
        [pose.position.x, pose.position.y, yaw, twist.linear.x, twist.linear.y, twist.angular.z]
    )


def pose_sample(message: Any) -> FloatArray:
    """(x, y, z, qx, qy, qz, qw). Shape (7,)."""
    p, q = message.pose.position, message.pose.orientation
    return np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w])


def wrench_sample(message: Any) -> FloatArray:
    """(fx, fy, fz, tx, ty, tz). Shape (6,)."""
    f, t = message.wrench.force, message.wrench.torque
    return np.array([f.x, f.y, f.z, t.x, t.y, t.z])
