"""Pictures decoded beside the executor: at once, bounded, and handed over in its thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from vla_ros.ros.decoding import DecodingThreads
from vla_ros.ros.domain import isolated_domain

LIMIT_S = 20.0
CAMERAS = ("front", "wrist", "left", "right")


class Rig:
    """A node, its executor, and decoding threads for four cameras."""

    def __init__(self, node: Node, context: rclpy.Context) -> None:
        self.node = node
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(node)
        self.threads = DecodingThreads(node, CAMERAS)

    def spin(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end, "not in time"
            self.executor.spin_once(timeout_sec=0.02)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with isolated_domain() as variables:
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=int(variables["ROS_DOMAIN_ID"]))
        node = Node("decoding", context=context)
        made = Rig(node, context)
        yield made
        made.threads.destroy()
        made.executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def test_all_cameras_are_decoded_at_the_same_time(rig: Rig) -> None:
    together = threading.Barrier(len(CAMERAS), timeout=LIMIT_S)  # passes only if all are in it
    done: list[int] = []
    for key in CAMERAS:
        assert rig.threads.submit(key, together.wait, done.append)
    rig.spin(lambda: len(done) == len(CAMERAS))
    assert sorted(done) == [0, 1, 2, 3]


def test_while_a_picture_is_decoded_the_executor_is_free(rig: Rig) -> None:
    release, ticks, done = threading.Event(), [], list[bool]()
    rig.node.create_timer(0.01, lambda: ticks.append(None))
    for key in CAMERAS:
        rig.threads.submit(key, lambda: release.wait(LIMIT_S), done.append)
    rig.spin(lambda: len(ticks) > 20)
    assert not done
    release.set()
    rig.spin(lambda: len(done) == len(CAMERAS))
    assert all(done)


def test_what_was_decoded_is_handed_over_in_the_executors_thread_in_order(rig: Rig) -> None:
    got: list[tuple[int, int]] = []
    here = threading.get_ident()
    for k in range(10):
        rig.spin(lambda k=k: len(got) >= k - 1)
        assert rig.threads.submit(
            "front", lambda k=k: k, lambda n: got.append((n, threading.get_ident()))
        )
    rig.spin(lambda: len(got) == 10)
    assert got == [(k, here) for k in range(10)]


def test_a_camera_that_is_too_fast_loses_its_own_pictures_and_no_others(rig: Rig) -> None:
    release, done = threading.Event(), list[str]()
    taken = [
        rig.threads.submit("front", lambda: release.wait(LIMIT_S), lambda _: done.append("front"))
        for _ in range(5)
    ]
    assert taken == [True, True, False, False, False]
    assert rig.threads.submit("wrist", lambda: True, lambda _: done.append("wrist"))
    rig.spin(lambda: done == ["wrist"])
    release.set()
    rig.spin(lambda: done == ["wrist", "front", "front"])
    assert rig.threads.submit("front", lambda: True, lambda _: done.append("front"))


def test_when_time_jumps_what_is_being_decoded_is_dropped(rig: Rig) -> None:
    release, done = threading.Event(), list[str]()
    rig.threads.submit("front", lambda: release.wait(LIMIT_S), lambda _: done.append("before"))
    rig.threads.forget()
    rig.threads.submit("front", lambda: True, lambda _: done.append("after"))
    release.set()
    rig.spin(lambda: bool(done))
    assert done == ["after"]
