"""What a recorded run holds, read back from its bag; no ROS needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader

from vla_ros.errors import VlaError
from vla_ros.spaces.images import decode_image

Floats = NDArray[np.float64]


class BadRunError(VlaError):
    """The bag lacks what a report needs."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One vector over time.

    Attributes:
        t_ns: stamps [ns], shape (N,), increasing.
        values: shape (N, D).
    """

    t_ns: NDArray[np.int64]
    values: Floats


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """The stamps of one action chunk, all in ns of ROS time; `late` as its message says."""

    t_obs_ns: int
    start_ns: int
    valid_from_ns: int
    inference_start_ns: int
    inference_end_ns: int
    published_ns: int
    late: bool


def stamp_ns(stamp: Any) -> int:
    """builtin_interfaces/Time as integer ns."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


class RunBag:
    """Reader of one recorded run.

    Args:
        path: the bag's folder.

    Raises:
        BadRunError: there is no readable bag.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "metadata.yaml").exists():
            raise BadRunError(
                f"{path}: no metadata.yaml: the recorder was killed before it closed the bag"
            )

    def _messages(self, topic: str) -> Iterator[tuple[int, Any]]:
        with AnyReader([self.path]) as reader:
            connections = [c for c in reader.connections if c.topic == topic]
            if not connections:
                topics = ", ".join(sorted(reader.topics))
                raise BadRunError(f"{self.path}: no topic {topic}; it holds {topics}")
            for connection, received_ns, raw in reader.messages(connections):
                yield received_ns, reader.deserialize(raw, connection.msgtype)

    def images(self, topic: str) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """(capture stamp [ns], rgb image of shape (H, W, 3)) in order of arrival."""
        for _, image in self._messages(topic):
            rgb = decode_image(image.encoding, image.height, image.width, image.step, image.data)
            yield stamp_ns(image.header.stamp), rgb

    def joints(self, names: tuple[str, ...], topic: str = "/joint_states") -> Series:
        """Measured positions of `names`, in that order."""
        rows, stamps = [], []
        for _, message in self._messages(topic):
            index = {name: k for k, name in enumerate(message.name)}
            rows.append([message.position[index[name]] for name in names])
            stamps.append(stamp_ns(message.header.stamp))
        return _series(stamps, rows)

    def commanded(self, topic: str = "/vla/commanded") -> Series:
        """What was really commanded, in action-vector order."""
        rows, stamps = [], []
        for _, message in self._messages(topic):
            if len(message.action):
                rows.append(message.action)
                stamps.append(stamp_ns(message.header.stamp))
        return _series(stamps, rows)

    def plans(self, topic: str = "/vla/action_chunk") -> list[PlanRecord]:
        """The stamps of every chunk, in order of arrival."""
        return [
            PlanRecord(
                t_obs_ns=stamp_ns(m.header.stamp),
                start_ns=stamp_ns(m.start),
                valid_from_ns=stamp_ns(m.valid_from),
                inference_start_ns=stamp_ns(m.inference_start),
                inference_end_ns=stamp_ns(m.inference_end),
                published_ns=received_ns,
                late=bool(m.late),
            )
            for received_ns, m in self._messages(topic)
        ]

    def sync_offsets_s(self, topic: str = "/vla/observation") -> dict[str, Floats]:
        """Signed offset of each stream from its due time [s], by stream name."""
        offsets: dict[str, list[float]] = {}
        for _, message in self._messages(topic):
            for stream in message.streams:
                offsets.setdefault(stream.name, []).append(float(stream.offset_s))
        return {name: np.asarray(values) for name, values in offsets.items()}


def _series(stamps: list[int], rows: list[Any]) -> Series:
    t_ns = np.asarray(stamps, dtype=np.int64)
    order = np.argsort(t_ns, kind="stable")
    return Series(t_ns=t_ns[order], values=np.asarray(rows, dtype=np.float64)[order])
