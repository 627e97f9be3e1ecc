"""observation_sync as a process, and drivers that lie: each lie is refused, counted and said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from drivers import FRAME_NS, JOINT_NS, JOINTS, small_robot
from nav_msgs.msg import Odometry
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState
from stage import Stage, stage
from vla_ros_msgs.msg import Observation, StreamStatus

from vla_ros.ros import qos
from vla_ros.ros.conversions.image import image_msg
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.ros.conversions.times import header

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

SOURCES = """  sources:
    - kind: odometry
      name: base
      topic: /odom
      elements: [vx, vyaw]
      tolerance_s: 0.05
      on_loss: skip
"""
FRONT = "/camera/front/image_raw"


class Rig:
    """A raw front camera, a compressed wrist camera, joints and odometry; a test turns the knobs.

    Attributes:
        stamp: What the front camera stamps on a picture captured at an instant.
        encoding: What it says its pictures are.
        frozen: Whether the wrist camera repeats one picture.
        speed: Of the first joint [rad/s].
        silent: Whether the front camera publishes nothing.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.observations: list[Observation] = []
        node = stage.node
        node.create_subscription(
            Observation, "observation", self.observations.append, qos.profile("observation")
        )
        self.wrist = node.create_publisher(CompressedImage, "/camera/wrist/compressed", 2)
        self.joints = node.create_publisher(JointState, "/joint_states", 50)
        self.odometry = node.create_publisher(Odometry, "/odom", 50)
        self.front: Publisher = node.create_publisher(Image, FRONT, 2)
        self._dice = np.random.default_rng(1)
        self._done_ns = self._start_ns = time.time_ns() // FRAME_NS * FRAME_NS
        self.in_order()
        node.create_timer(0.01, self._look_after)

    def in_order(self) -> None:
        """Nobody lies."""
        self.stamp: Callable[[int], int] = lambda t_ns: t_ns
        self.encoding, self.frozen, self.speed, self.silent = "rgb8", False, 0.0, False

    def replace_front(self, kind: type, reliability: ReliabilityPolicy) -> None:
        """Another driver takes the front camera's topic."""
        self.stage.node.destroy_publisher(self.front)
        profile = QoSProfile(depth=2, reliability=reliability)
        self.front = self.stage.node.create_publisher(kind, FRONT, profile)

    def see(self, count: int = 5) -> list[Observation]:
        """Waits for new observations."""
        since = len(self.observations)
        self.stage.wait(lambda: len(self.observations) >= since + count, "observations")
        return self.observations[since:]

    def value(self, key: str) -> str:
        """One value of the node's diagnostics; empty where it is not there."""
        status = self.stage.diagnostics.get("observation_sync")
        values = {} if status is None else {item.key: item.value for item in status.values}
        return values.get(key, "")

    def _look_after(self) -> None:
        while self._done_ns + JOINT_NS <= time.time_ns():
            self._done_ns += JOINT_NS
            t_ns = self._done_ns
            positions = {**dict.fromkeys(JOINTS, 0.1), "finger_joint": 0.02}
            positions["joint1"] += self.speed * (t_ns - self._start_ns) * 1e-9 % 1.0
            self.joints.publish(joint_state_msg(t_ns, positions))
            base = Odometry(header=header(t_ns, "odom"))
            base.twist.twist.linear.x, base.twist.twist.angular.z = 0.5, -0.25
            self.odometry.publish(base)
            if t_ns % FRAME_NS == 0:
                self._publish_images(t_ns)

    def _publish_images(self, t_ns: int) -> None:
        rgb = self._dice.integers(0, 255, (36, 48, 3), dtype=np.uint8)
        image = image_msg(rgb, self.stamp(t_ns), "front_camera_optical_frame")
        image.encoding = self.encoding
        if not self.silent and self.front.msg_type is Image:
            self.front.publish(image)
        seen = np.full_like(rgb, 9) if self.frozen else rgb
        data = cv2.imencode(".png", seen[..., ::-1])[1].tobytes()
        self.wrist.publish(CompressedImage(header=header(t_ns), format="png", data=data))


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wrist camera is compressed and may be held; odometry joins the state."""
    path = small_robot(tmp_path_factory.mktemp("robot"))
    head, wrist = path.read_text(encoding="utf-8").split("- key: wrist")
    wrist = wrist.replace(
        "topic: /camera/wrist/image_raw\n    encoding: rgb8",
        "topic: /camera/wrist/compressed\n    transport: compressed",
    )
    wrist = wrist.replace("on_loss: skip", "on_loss: hold\n    max_age_s: 30.0", 1)
    wrist = wrist.replace(
        "  on_loss: skip\n\n# The action", f"  on_loss: skip\n{SOURCES}\n# The", 1
    )
    path.write_text(f"{head}- key: wrist{wrist}", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def rig(robot: Path) -> Iterator[Rig]:
    """One node for the tests of this file."""
    with stage() as made:
        made.start("observation_sync", robot=robot)
        rig = Rig(made)
        rig.see(10)
        yield rig
        assert made.stop("observation_sync") == 0
        assert "Traceback" not in made.printed("observation_sync")


@pytest.fixture(autouse=True)
def in_order(rig: Rig) -> Iterator[None]:
    """Puts the drivers in order after each test, and sees the node recover."""
    yield
    rig.in_order()
    rig.see()


def test_compressed_pictures_and_odometry_are_part_of_the_observation(rig: Rig) -> None:
    seen = rig.see(5)[-1]
    assert [image.key for image in seen.images] == ["front", "wrist"]
    front, wrist = (np.asarray(image.image.data) for image in seen.images)
    np.testing.assert_array_equal(front, wrist)  # PNG loses nothing
    np.testing.assert_allclose(seen.state, [0.1] * 6 + [0.02, 0.5, -0.25])
    assert [s.name for s in seen.streams] == ["front", "wrist", "state", "state/base"]


@pytest.mark.parametrize(
    ("lie", "words", "counter"),
    [
        (lambda t_ns: 0, "the stamp is zero", "front zero"),
        (lambda t_ns: t_ns + 10**10, "the stamp lies in the future", "front future"),
        (lambda t_ns: t_ns - 10**10, "the stamp is older than the history", "front old"),
    ],
)
def test_a_stamp_that_lies_is_said_and_counted(
    rig: Rig, lie: Callable[[int], int], words: str, counter: str
) -> None:
    rig.stamp = lie
    rig.stage.wait(lambda: rig.stage.says("observation_sync", "front", words), words)
    rig.stage.wait(lambda: int(rig.value(counter) or 0) > 0, counter)


def test_a_stamp_that_is_repeated_is_called_frozen(rig: Rig) -> None:
    since = time.time_ns() // FRAME_NS * FRAME_NS
    rig.stamp = lambda t_ns: since
    rig.stage.wait(
        lambda: rig.stage.says("observation_sync", "front", "the same stamp is repeated"), "words"
    )


def test_an_encoding_that_changes_in_mid_run_is_refused_with_both(rig: Rig) -> None:
    rig.encoding = "bgr8"
    words = ("front", "another encoding", "expected rgb8", "'bgr8'")
    rig.stage.wait(lambda: rig.stage.says("observation_sync", *words), str(words))


def test_a_frozen_camera_that_may_be_held_is_used_but_never_called_ok(rig: Rig) -> None:
    rig.frozen, rig.speed = True, 0.8

    def frozen() -> bool:
        statuses = {s.name: s.status for s in rig.observations[-1].streams}
        return statuses["wrist"] == StreamStatus.FROZEN

    rig.stage.wait(frozen, "an observation that says frozen")
    rig.stage.wait(lambda: rig.stage.says("observation_sync", "wrist FROZEN"), "the word")


def test_a_driver_that_comes_back_with_another_reliability_is_heard_again(rig: Rig) -> None:
    for reliability in (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE):
        rig.replace_front(Image, reliability)
        rig.see(10)


def test_a_topic_that_carries_another_type_is_named_with_both(rig: Rig) -> None:
    rig.replace_front(CompressedImage, ReliabilityPolicy.RELIABLE)
    rig.stage.wait(lambda: "carries sensor_msgs/msg/Comp" in rig.value("front topic"), "the type")
    assert "sensor_msgs/msg/Image is expected" in rig.value("front topic")
    assert "transport" in rig.value("front topic")
    rig.replace_front(Image, ReliabilityPolicy.RELIABLE)


def test_a_topic_without_a_publisher_is_named(rig: Rig) -> None:
    rig.stage.node.destroy_publisher(rig.front)
    rig.silent = True
    rig.stage.wait(lambda: "nobody publishes" in rig.value("front topic"), "its absence")
    rig.front = rig.stage.node.create_publisher(Image, FRONT, 2)
