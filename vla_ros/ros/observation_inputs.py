"""The topics that a robot file reads, wired to an observer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, WrenchStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CompressedImage, Image, JointState

from vla_ros.robot.observer import Observer
from vla_ros.robot.spec import RobotSpec
from vla_ros.robot.spec_state import OdometrySource, PoseSource, WrenchSource
from vla_ros.robot.spec_streams import CameraSpec
from vla_ros.robot.state_streams import stream_name
from vla_ros.ros.conversions.state import odometry_sample, pose_sample, wrench_sample
from vla_ros.ros.conversions.times import ns_from
from vla_ros.ros.decoding import DecodingThreads
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.sync import Frame, Refusal

_SAMPLES: dict[type, tuple[type, Callable[[Any], Any]]] = {
    OdometrySource: (Odometry, odometry_sample),
    PoseSource: (PoseStamped, pose_sample),
    WrenchSource: (WrenchStamped, wrench_sample),
}


def topics_of(spec: RobotSpec) -> list[tuple[str, str, type[Any]]]:
    """(stream, topic, message type) of everything that is observed."""
    cameras = [(c.key, c.topic, _image_type(c)) for c in spec.cameras]
    sources = (spec.state, *spec.state.sources)
    return [
        *cameras,
        *((stream_name(s), s.topic, _SAMPLES.get(type(s), (JointState, None))[0]) for s in sources),
    ]


class ObservationInputs:
    """Subscribes to a robot's sensors and feeds what comes to an observer.

    In lockstep pictures are decoded at once, for there the order of things must repeat.

    Args:
        node: Has the subscriptions.
        spec: The robot.
        observer: Fed in the executor's thread.
        arrived: Called after each message with its stream, its age [ns] and the refusal, if any.
    """

    def __init__(
        self,
        node: VlaNode[Any],
        spec: RobotSpec,
        observer: Observer,
        arrived: Callable[[str, int, Refusal | None], None],
    ) -> None:
        self._node, self._observer, self._arrived = node, observer, arrived
        self._threads: DecodingThreads | None = None
        if not node.parameters.lockstep:
            self._threads = DecodingThreads(node, spec.camera_keys)
            node.on_release(self._threads.destroy)
        for camera in spec.cameras:
            take = functools.partial(self._on_image, camera)
            node.sensor(_image_type(camera), camera.topic, take, "image")
        for source in (spec.state, *spec.state.sources):
            stream = stream_name(source)
            kind, sample = _SAMPLES.get(type(source), (JointState, None))
            take = functools.partial(self._on_joints, stream)
            if sample is not None:
                take = functools.partial(self._on_sample, stream, sample)
            node.sensor(kind, source.topic, take, "joint_state")

    def forget(self) -> None:
        """Time jumped: nothing that is still being decoded counts."""
        if self._threads is not None:
            self._threads.forget()

    def _on_image(self, camera: CameraSpec, message: Any) -> None:
        arrived_ns = self._node.clock.now_ns()
        if arrived_ns == 0:
            return  # simulated time has not been heard of yet
        stamp_ns = ns_from(message.header.stamp)
        work = functools.partial(_decode, self._observer, camera, message)

        def done(decoded: Frame | Refusal) -> None:
            refusal = self._observer.push_decoded(
                camera.key, stamp_ns, decoded, self._node.clock.now_ns(), arrived_ns
            )
            self._arrived(camera.key, arrived_ns - stamp_ns, refusal)

        if self._threads is None:
            done(work())
        elif not self._threads.submit(camera.key, work, done):
            self._observer.count_dropped(camera.key)

    def _on_joints(self, stream: str, message: JointState) -> None:
        now_ns = self._node.clock.now_ns()
        if now_ns == 0:
            return
        stamp_ns = ns_from(message.header.stamp)
        refusal = self._observer.push_joint_arrays(
            stamp_ns, message.name, message.position, now_ns, stream, message.velocity
        )
        self._arrived(stream, now_ns - stamp_ns, refusal)

    def _on_sample(self, stream: str, sample: Callable[[Any], Any], message: Any) -> None:
        now_ns = self._node.clock.now_ns()
        if now_ns == 0:
            return
        stamp_ns = ns_from(message.header.stamp)
        refusal = self._observer.push_vector(stream, stamp_ns, sample(message), now_ns)
        self._arrived(stream, now_ns - stamp_ns, refusal)


def _image_type(camera: CameraSpec) -> type[Any]:
    return Image if camera.transport == "raw" else CompressedImage


def _decode(observer: Observer, camera: CameraSpec, message: Any) -> Frame | Refusal:
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
