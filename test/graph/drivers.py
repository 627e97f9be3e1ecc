"""Drivers of a robot that exists only in a test: cameras and joint states on an exact grid."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState
from stage import Stage

from vla_ros.ros.conversions.image import image_msg
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.ros.conversions.times import header

JOINTS = tuple(f"joint{i}" for i in range(1, 7))
FRAME_NS = 50_000_000
JOINT_NS = 10_000_000
SIZE = (36, 48, 3)


FULL = {
    "topic: /camera/wrist/image_raw\n    encoding: rgb8": (
        "topic: /camera/wrist/compressed\n    transport: compressed"
    ),
    "  on_loss: skip\n\n# The action": """  on_loss: skip
  sources:
    - kind: odometry
      name: base
      topic: /odom
      elements: [vx, vyaw]
      tolerance_s: 0.05
      on_loss: skip

# The action""",
}
"""Replacements for `small_robot`: a compressed wrist camera, and odometry in the state."""


class Drivers:
    """Publishes what is due whenever it is looked after.

    Stamps lie on a grid of wall time, so that a busy machine shifts arrivals but no offsets. Both
    cameras see the same.

    Attributes:
        positions: Of the joints, by name, in the order in which they are published.
        images: Publishers of the cameras; one that is None is silent.
    """

    def __init__(self, stage: Stage, *, compressed: tuple[str, ...] = ()) -> None:
        self._node = stage.node
        self.positions = {name: 0.1 * i for i, name in enumerate(JOINTS)}
        self.positions["finger_joint"] = 0.02
        self.images: dict[str, Any] = {}
        for key in ("front", "wrist"):
            self.connect(key, CompressedImage if key in compressed else Image)
        self._joints = self._node.create_publisher(JointState, "/joint_states", 50)
        self._odometry = self._node.create_publisher(Odometry, "/odom", 50)
        self._dice = np.random.default_rng(1)
        self._done_ns = time.time_ns() // FRAME_NS * FRAME_NS
        self._node.create_timer(0.01, self._look_after)

    def connect(
        self,
        key: str,
        kind: type[Any],
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    ) -> None:
        """A driver takes a camera's topic, in the place of the one before."""
        self.disconnect(key)
        profile = QoSProfile(depth=2, reliability=reliability)
        topic = f"/camera/{key}/" + ("image_raw" if kind is Image else "compressed")
        self.images[key] = self._node.create_publisher(kind, topic, profile)

    def disconnect(self, key: str) -> None:
        """A driver ends."""
        if self.images.get(key) is not None:
            self._node.destroy_publisher(self.images[key])
        self.images[key] = None

    def _look_after(self) -> None:
        while self._done_ns + JOINT_NS <= time.time_ns():
            self._done_ns += JOINT_NS
            self._publish(self._done_ns)

    def _publish(self, t_ns: int) -> None:
        self._joints.publish(joint_state_msg(t_ns, self.positions))
        base = Odometry(header=header(t_ns, "odom"))
        base.twist.twist.linear.x, base.twist.twist.angular.z = 0.5, -0.25
        self._odometry.publish(base)
        if t_ns % FRAME_NS:
            return
        rgb = self._dice.integers(0, 255, SIZE, dtype=np.uint8)
        for key, publisher in self.images.items():
            if publisher is not None and publisher.msg_type is Image:
                publisher.publish(image_msg(rgb, t_ns, f"{key}_camera_optical_frame"))
            elif publisher is not None:
                publisher.publish(compressed_msg(rgb, t_ns))


def compressed_msg(rgb: npt.NDArray[np.uint8], stamp_ns: int) -> CompressedImage:
    """As image_transport sends it; PNG loses nothing."""
    data = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
    return CompressedImage(header=header(stamp_ns), format="png", data=data)


def small_robot(folder: Path, **replacements: str) -> Path:
    """The simulated arm's robot file with small pictures; more text is replaced on demand."""
    root = Path(__file__).resolve().parents[2]
    text = (root / "config" / "robots" / "sim_arm.yaml").read_text(encoding="utf-8")
    changes = {
        "raw_width: 480": "raw_width: 48",
        "raw_height: 360": "raw_height: 36",
        "crop: [60, 0, 360, 360]": "crop: [6, 0, 36, 36]",
        **replacements,
    }
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "robot.yaml"
    path.write_text(text, encoding="utf-8")
    return path
