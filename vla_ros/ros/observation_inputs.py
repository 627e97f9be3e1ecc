"""The topics that a robot file reads, wired to an observer."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from vla_ros.errors import VlaError
from vla_ros.robot.command.intake import (
    decode,
    message_type,
    push,
    sources_of,
    stamp_of,
    stream_of,
    topics,
)
from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.senses.state_streams import AnySource
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.streams import CameraSpec
from vla_ros.ros.decoding import DecodingThreads
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.sync import Frame, Refusal


class MessagesMissing(VlaError):
    """A source of the robot file is read from messages that are not installed."""


def topics_of(spec: RobotSpec) -> list[tuple[str, str, type[Any]]]:
    """(stream, topic, message type) of everything that is observed."""
    return [(stream_of(s), s.topic, _message_class(s)) for s in sources_of(spec)]


def static_topics_of(spec: RobotSpec) -> tuple[str, ...]:
    """Topics of what holds for all time."""
    return tuple({topic: None for s in sources_of(spec) for topic in topics(s)[1:]})


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
        for source in sources_of(spec):
            kind = _message_class(source)
            if isinstance(source, CameraSpec):
                take = functools.partial(self._on_image, source)
                node.sensor(kind, source.topic, take, "image")
            else:
                listen = functools.partial(self._on_state, source)
                node.sensor(kind, source.topic, listen, "joint_state")
            for topic in topics(source)[1:]:
                hear = functools.partial(self._on_static, source, topic)
                node.subscription(kind, topic, hear, "static")

    def forget(self) -> None:
        """Time jumped: nothing that is still being decoded counts."""
        if self._threads is not None:
            self._threads.forget()

    def _on_image(self, camera: CameraSpec, message: Any) -> None:
        arrived_ns = self._node.clock.now_ns()
        if arrived_ns == 0:
            return  # simulated time has not been heard of yet
        stamp_ns = stamp_of(message)
        work = functools.partial(decode, self._observer, camera, message)

        def done(decoded: Frame | Refusal) -> None:
            refusal = self._observer.push_decoded(
                camera.key, stamp_ns, decoded, self._node.clock.now_ns(), arrived_ns
            )
            self._arrived(camera.key, arrived_ns - stamp_ns, refusal)

        if self._threads is None:
            done(work())
        elif not self._threads.submit(camera.key, work, done):
            self._observer.count_dropped(camera.key)

    def _on_static(self, source: CameraSpec | AnySource, topic: str, message: Any) -> None:
        # What holds for all time comes once, perhaps before simulated time does.
        push(self._observer, source, message, self._node.clock.now_ns(), topic=topic)

    def _on_state(self, source: AnySource, message: Any) -> None:
        now_ns = self._node.clock.now_ns()
        if now_ns == 0:
            return
        refusal = push(self._observer, source, message, now_ns)
        self._arrived(stream_of(source), now_ns - stamp_of(message), refusal)


def _message_class(source: CameraSpec | AnySource) -> type[Any]:
    package, kind, name = message_type(source).split("/")
    try:
        found: type[Any] = getattr(importlib.import_module(f"{package}.{kind}"), name)
    except ImportError as error:
        raise MessagesMissing(
            f"'{stream_of(source)}' needs messages of {package}, which is not installed ({error}); "
            f"install ros-$ROS_DISTRO-{package.replace('_', '-')}"
        ) from None
    return found
