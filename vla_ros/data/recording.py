"""Writes a rosbag2 MCAP bag from raw messages, in a thread of its own.

The caller never waits for the disk: messages queue up to a bound, and what does not fit is dropped
and counted. A write that fails ends the recording, and the next call says so.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys.store import Typestore

from vla_ros.errors import VlaError

QUEUE_BYTES = 256 * 2**20


class RecordingError(VlaError):
    """The bag cannot be written."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a bag holds in the end.

    Attributes:
        path: Folder of the bag.
        messages: Number of messages written.
        dropped: Topic -> messages that did not fit into the queue.
    """

    path: Path
    messages: int
    dropped: Mapping[str, int]


class BagRecording:
    """One bag being written.

    Args:
        path: Folder to make; must not exist.
        store: Knows every type that will be recorded.
        queue_bytes: Most bytes that wait for the disk.

    Raises:
        RecordingError: The folder exists or cannot be made.
    """

    def __init__(self, path: Path, store: Typestore, queue_bytes: int = QUEUE_BYTES) -> None:
        self.path = path
        self._store = store
        self._queue_bytes = queue_bytes
        try:
            self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise RecordingError(f"no bag at {path}: {error}. Choose another folder") from error
        self._connections: dict[str, Connection] = {}
        self._queue: deque[tuple[Connection, int, bytes]] = deque()
        self._waiting = 0
        self._dropped: dict[str, int] = {}
        self._messages = 0
        self._failure = ""
        self._closing = False
        self._changed = threading.Condition()
        self._writing = threading.Lock()  # the writer is not made for two threads
        self._thread = threading.Thread(target=self._work, name="bag writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Messages that did not fit into the queue so far."""
        return sum(self._dropped.values())

    @property
    def messages(self) -> int:
        """Messages written so far."""
        return self._messages

    def add_topic(self, topic: str, type_name: str, offered: Sequence[Qos] = ()) -> None:
        """Declares a topic.

        Args:
            topic: Full name.
            type_name: For example ``sensor_msgs/msg/Image``.
            offered: Profiles of its publishers, so that a replay offers the same.
        """
        with self._writing:
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=self._store, offered_qos_profiles=offered
            )

    def write(self, topic: str, stamp_ns: int, message: bytes) -> None:
        """Queues one message.

        Args:
            topic: Declared before.
            stamp_ns: When it was received, ROS time.
            message: CDR with its header, as a raw subscription gives it.

        Raises:
            RecordingError: An earlier write failed.
        """
        with self._changed:
            self._raise_failure()
            if self._waiting + len(message) > self._queue_bytes:
                self._dropped[topic] = self._dropped.get(topic, 0) + 1
                return
            self._queue.append((self._connections[topic], stamp_ns, message))
            self._waiting += len(message)
            self._changed.notify()

    def close(self, custom_data: Mapping[str, str]) -> Recorded:
        """Writes what waits, then the bag's metadata.

        Args:
            custom_data: Kept in metadata.yaml.

        Raises:
            RecordingError: A write failed, now or before.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        for key, value in custom_data.items():
            self._writer.set_custom_data(key, value)
        try:
            self._writer.close()
        except (WriterError, OSError) as error:
            self._failure = self._failure or str(error)
        self._raise_failure()
        return Recorded(path=self.path, messages=self._messages, dropped=dict(self._dropped))

    def _raise_failure(self) -> None:
        if self._failure:
            raise RecordingError(
                f"the bag {self.path} is incomplete after {self._messages} messages: "
                f"{self._failure}. Is the disk full?"
            )

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                connection, stamp_ns, message = self._queue.popleft()
                self._waiting -= len(message)
            try:
                with self._writing:
                    self._writer.write(connection, stamp_ns, message)
            except (WriterError, OSError) as error:
                with self._changed:
                    self._failure = str(error)
                    self._queue.clear()
                return
            self._messages += 1
