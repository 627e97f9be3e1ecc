"""A process: an arm that moves and two cameras that stamp too late, in simulated time of its own.

    python late_cameras.py FRONT_S WRIST_S

Time passes at twice the wall's pace, slower on a busy machine; nothing is lost by that, because
nobody's clock runs on.
"""

from __future__ import annotations

import sys
import time

import cv2
import numpy as np
import rclpy
from drivers import JOINTS, SIZE
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState

from vla_ros.ros import qos
from vla_ros.ros.conversions.image import image_msg
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.ros.conversions.times import time_msg

START_NS = 10**9
TICK_NS = 10_000_000
JOINT_TICKS, FRAME_TICKS = 2, 3
PACE = 2.0
VARIED = 3  # joints that move


class Arm:
    """Minimum-jerk moves to random poses, some with a pause."""

    def __init__(self, dice: np.random.Generator) -> None:
        self._dice = dice
        self._starts, self._goals, self._begin_s = np.zeros(VARIED), np.zeros(VARIED), 0.0
        self._takes_s, self._ends_s = 1.0, 0.0

    def at(self, t_s: float) -> np.ndarray:
        """Pose, at times that rise. Shape (VARIED,)."""
        while t_s > self._ends_s:
            self._starts, self._goals = self._goals, self._dice.uniform(-0.5, 0.5, VARIED)
            self._begin_s, self._takes_s = self._ends_s, self._dice.uniform(0.5, 1.5)
            self._ends_s = self._begin_s + self._takes_s + self._dice.uniform(0, 0.4)
        share = np.clip((t_s - self._begin_s) / self._takes_s, 0, 1)
        smooth = share**3 * (10 - 15 * share + 6 * share**2)
        return np.asarray(self._starts + smooth * (self._goals - self._starts))


def main() -> None:
    """Publishes until it is killed."""
    latencies_s = dict(zip(("front", "wrist"), map(float, sys.argv[1:]), strict=True))
    rclpy.init()
    node = rclpy.create_node("late_cameras")
    clock = node.create_publisher(Clock, "/clock", qos.profile("clock"))
    joints = node.create_publisher(JointState, "/joint_states", 50)
    cameras = {
        key: node.create_publisher(Image, f"/camera/{key}/image_raw", 10) for key in latencies_s
    }
    dice = np.random.default_rng(0)
    wall = dice.integers(0, 255, (30, 40, 3), dtype=np.uint8)
    wall = cv2.resize(wall, (240, 180), interpolation=cv2.INTER_CUBIC)
    ways = dice.normal(0, 8, (2, VARIED))
    arm, tick = Arm(dice), 0
    late: list[tuple[int, str, Image]] = []
    while True:
        tick += 1
        t_ns = START_NS + tick * TICK_NS
        clock.publish(Clock(clock=time_msg(t_ns)))
        pose = arm.at(tick * TICK_NS * 1e-9)
        if tick % JOINT_TICKS == 0:
            still = dict.fromkeys((*JOINTS, "finger_joint"), 0.0)
            joints.publish(
                joint_state_msg(t_ns, {**still, **dict(zip(JOINTS, pose, strict=False))})
            )
        if tick % FRAME_TICKS == 0:
            seen = np.hstack((np.eye(2), ways @ pose[:, None] - [[96], [72]]))
            picture = cv2.warpAffine(wall, seen, (SIZE[1], SIZE[0]))
            for key, latency_s in latencies_s.items():
                stamp_ns = t_ns + round(latency_s * 1e9)
                late.append((stamp_ns, key, image_msg(picture, stamp_ns, f"{key}_frame")))
        for due in [item for item in late if item[0] <= t_ns]:
            late.remove(due)
            cameras[due[1]].publish(due[2])
        time.sleep(TICK_NS * 1e-9 / PACE)


if __name__ == "__main__":
    main()
