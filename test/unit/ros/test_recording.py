"""Bags: what is written is read back anywhere, what is lost is counted, what fails is said."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)  # fmt: skip
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from vla_ros.data.definitions import Definitions, UnknownTypeError
from vla_ros.data.recording import BagRecording, RecordingError

ZERO = QosTime(0, 0)
LATCHED = Qos(
    QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
    ZERO, ZERO, QosLiveliness.AUTOMATIC, ZERO, False,
)  # fmt: skip


@pytest.fixture
def definitions(tmp_path: Path) -> Definitions:
    """An installed package with a nested type of its own."""
    share = tmp_path / "share" / "my_msgs" / "msg"
    share.mkdir(parents=True)
    (share / "Inner.msg").write_text("uint8 GOOD=1\nfloat64[] values\n")
    (share / "Outer.msg").write_text("std_msgs/Header header\nInner[] inner\nInner[2] pair\n")

    def share_of(package: str) -> str:
        if package != "my_msgs":
            raise LookupError(f"package '{package}' not found")
        return str(share.parent)

    return Definitions(share_of)


def text(store, words: str) -> bytes:
    return bytes(
        store.serialize_cdr(store.types["std_msgs/msg/String"](data=words), "std_msgs/msg/String")
    )


def test_a_bag_with_a_nested_type_of_ones_own_reads_back_without_registering(tmp_path, definitions):
    definitions.require(["my_msgs/msg/Outer"])
    store = definitions.store
    inner = store.types["my_msgs/msg/Inner"](values=np.array([1.0, 2.0]))
    stamp = store.types["builtin_interfaces/msg/Time"](sec=3, nanosec=4)
    header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="base")
    outer = store.types["my_msgs/msg/Outer"](header=header, inner=[inner], pair=[inner, inner])
    raw = bytes(store.serialize_cdr(outer, "my_msgs/msg/Outer"))
    bag = BagRecording(tmp_path / "bag", store)
    bag.add_topic("/outer", "my_msgs/msg/Outer", [LATCHED])
    bag.write("/outer", 42, raw)
    done = bag.close({"instruction": "put it there"})
    assert (done.messages, dict(done.dropped)) == (1, {})
    with AnyReader([done.path]) as reader:
        ((connection, stamp_ns, data),) = list(reader.messages())
        assert stamp_ns == 42
        assert bytes(data) == raw
        assert reader.deserialize(data, connection.msgtype).inner[0].values.tolist() == [1.0, 2.0]
    with Reader(done.path) as reader:
        assert reader.connections[0].ext.offered_qos_profiles == [LATCHED]
    assert "put it there" in (done.path / "metadata.yaml").read_text()


def test_a_type_that_is_not_installed_is_named(definitions):
    with pytest.raises(UnknownTypeError, match=r"other_msgs/msg/Thing is installed.*other_msgs"):
        definitions.require(["other_msgs/msg/Thing"])


def test_an_existing_folder_is_never_written_into(tmp_path):
    with pytest.raises(RecordingError, match="Choose another folder"):
        BagRecording(tmp_path, get_typestore(Stores.ROS2_JAZZY))


def test_messages_that_the_disk_cannot_take_are_dropped_and_counted(tmp_path, monkeypatch):
    store = get_typestore(Stores.ROS2_JAZZY)
    bag = BagRecording(tmp_path / "bag", store, queue_bytes=100)
    bag.add_topic("/words", "std_msgs/msg/String")
    gate, entered = threading.Event(), threading.Event()
    write = bag._writer.write

    def slow(*arguments):
        entered.set()
        assert gate.wait(10)
        write(*arguments)

    monkeypatch.setattr(bag._writer, "write", slow)
    message = text(store, "x" * 30)
    bag.write("/words", 1, message)
    assert entered.wait(10)
    for stamp in range(2, 12):
        bag.write("/words", stamp, message)
    gate.set()
    done = bag.close({})
    assert done.messages + done.dropped["/words"] == 11
    assert done.dropped["/words"] >= 7


def test_a_write_that_fails_is_said_at_the_next_write_and_at_the_end(tmp_path, monkeypatch):
    store = get_typestore(Stores.ROS2_JAZZY)
    bag = BagRecording(tmp_path / "bag", store)
    bag.add_topic("/words", "std_msgs/msg/String")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bag._writer, "write", full)
    bag.write("/words", 1, text(store, "x"))
    bag._thread.join(10)
    with pytest.raises(RecordingError, match=r"No space left on device.*disk full"):
        bag.write("/words", 2, text(store, "x"))
    with pytest.raises(RecordingError, match="incomplete after 0 messages"):
        bag.close({})
