"""Drivers of a robot that exists only in a test: cameras and joint states on an exact grid."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from sensor_msgs.msg import Image, JointState
from stage import Stage

from vla_ros.ros.conversions.image import image_msg
from vla_ros.ros.conversions.joints import joint_state_msg

JOINTS = tuple(f"joint{i}" for i in range(1, 7))
FRAME_NS = 50_000_000
JOINT_NS = 10_000_000


class Drivers:
    """Publishes what is due whenever it is looked after; a test turns its knobs.

    Stamps lie on a grid of wall time, so that a busy machine shifts arrivals but no offsets.

    Attributes:
        stopped: Cameras that publish no more.
        frozen: Cameras that repeat one picture.
        size: Height and width of the pictures.
        positions: Of the joints, by name, in the order in which they are published; the arm's
            first joint also moves by `speed`.
        speed: [rad/s].
    """

    def __init__(self, stage: Stage, height: int = 36, width: int = 48) -> None:
        node = stage.node
        self.stopped: set[str] = set()
        self.frozen: set[str] = set()
        self.size = (height, width)
        self.positions = {name: 0.1 * i for i, name in enumerate(JOINTS)}
        self.positions["finger_joint"] = 0.02
        self.speed = 0.0
        self._images = {
            key: node.create_publisher(Image, f"/camera/{key}/image_raw", 2)
            for key in ("front", "wrist")
        }
        self._joints = node.create_publisher(JointState, "/joint_states", 50)
        self._dice = np.random.default_rng(1)
        self._start_ns = self._now_ns() // FRAME_NS * FRAME_NS
        self._done_ns = self._start_ns
        node.create_timer(0.01, self._look_after)

    @staticmethod
    def _now_ns() -> int:
        return time.time_ns()

    def _look_after(self) -> None:
        while self._done_ns + JOINT_NS <= self._now_ns():
            self._done_ns += JOINT_NS
            self._publish(self._done_ns)

    def _publish(self, t_ns: int) -> None:
        positions = dict(self.positions)
        if "joint1" in positions:
            positions["joint1"] += self.speed * (t_ns - self._start_ns) * 1e-9 % 2.0
        self._joints.publish(joint_state_msg(t_ns, positions))
        if t_ns % FRAME_NS:
            return
        for key, publisher in self._images.items():
            if key in self.stopped:
                continue
            shape = (*self.size, 3)
            still = np.full(shape, 7, dtype=np.uint8)
            moving = self._dice.integers(0, 255, shape, dtype=np.uint8)
            rgb = still if key in self.frozen else moving
            publisher.publish(image_msg(rgb, t_ns, f"{key}_camera_optical_frame"))


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
