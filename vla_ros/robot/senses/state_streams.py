"""Each part of the state as a stream of the synchroniser, and its sample as vector elements.

A stream carries what interpolates well (a pose as position and quaternion); the form that the
robot file asks for is made from the matched sample.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_ros.robot.spec.state import (
    JointSource,
    OdometrySource,
    PoseStream,
    StateSpec,
    WrenchSource,
)
from vla_ros.spaces import STATE_ANCHOR
from vla_ros.spaces.rotations import from_matrix, matrix_from_quaternion
from vla_ros.sync import Blend, StreamConfig

FloatArray = npt.NDArray[np.float64]
AnySource = StateSpec | JointSource | OdometrySource | PoseStream | WrenchSource

ODOMETRY = ("x", "y", "yaw", "vx", "vy", "vyaw")
"""Order of an odometry sample [m, rad, m/s, rad/s]."""


def stream_name(source: AnySource) -> str:
    """Its name in the synchroniser and in reports."""
    return STATE_ANCHOR if isinstance(source, StateSpec) else f"{STATE_ANCHOR}/{source.name}"


def stream_config(source: AnySource) -> StreamConfig:
    """Its stream."""
    return StreamConfig(
        name=stream_name(source),
        strategy=source.match if isinstance(source, StateSpec | JointSource) else "interpolate",
        tolerance_ns=source.tolerance_ns,
        on_loss=source.on_loss,
        clock=source.clock,
        latency_ns=source.latency_ns,
        max_age_ns=source.max_age_ns,
        wait_ns=source.wait_ns,
        places=_places(source),
        blend=_blend(source),
        source=source.topic,
    )


def sample_size(source: AnySource) -> int:
    """Elements of one sample in the synchroniser."""
    if isinstance(source, OdometrySource):
        return len(ODOMETRY)
    if isinstance(source, PoseStream):
        return 7
    return 6 if isinstance(source, WrenchSource) else len(source.joints)


def elements(source: AnySource, sample: FloatArray) -> FloatArray:
    """The state vector's elements from a matched sample."""
    if isinstance(source, OdometrySource):
        return sample[[k for k, part in enumerate(ODOMETRY) if part in source.elements]]
    if isinstance(source, PoseStream):
        turned = from_matrix(source.rotation, matrix_from_quaternion(sample[3:]))
        return np.concatenate((sample[:3], turned))
    return sample


def _places(source: AnySource) -> int | None:
    if isinstance(source, OdometrySource):
        return ODOMETRY.index("yaw") + 1
    return 0 if isinstance(source, WrenchSource) else None


def _blend(source: AnySource) -> Blend:
    if isinstance(source, PoseStream):
        return Blend(quaternions=(3,))
    if isinstance(source, OdometrySource):
        return Blend(angles=(ODOMETRY.index("yaw"),))
    if isinstance(source, WrenchSource):
        return Blend()
    return Blend(angles=tuple(source.joints.index(joint) for joint in source.continuous))
