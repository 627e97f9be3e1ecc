"""When does the robot rest after a fault, and how far did it go? From what is heard of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState
from vla_ros_msgs.msg import Commanded

from vla_ros.robot.load import load_robot, robot_path, urdf_text
from vla_ros.robot.poses.kinematics import Kinematics
from vla_ros.ros.conversions.times import ns_from
from vla_ros.sim.truth import ARM_JOINTS

SECOND = 1_000_000_000
FAST, STILL = 0.5, 0.02
"""Commanded speed at which a fault is provoked, measured speed that counts as rest [rad/s]."""
REST_NS = 300_000_000


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the robot came to rest.

    Attributes:
        speed: Of the fastest joint at the fault, in [rad/s].
        standstill: From the fault to the rest of the measured joints, in [s] of ROS time.
        joint: Furthest way of a joint until then, in [rad].
        hand: From where the hand was to where it rests, in [mm].
        moves_after: Furthest way of a joint after the rest and the healing, in [rad].
    """

    speed: float
    standstill: float
    joint: float
    hand: float
    moves_after: float


class Motion:
    """The measured joints since the beginning, and what was commanded last.

    Args:
        node: Hears them.

    Attributes:
        commanded: The last one; None before the first.
    """

    def __init__(self, node: Node) -> None:
        spec, path = load_robot("sim_arm"), robot_path("sim_arm")
        self._kinematics = Kinematics(urdf_text(spec, path) or "", ARM_JOINTS, spec.base_frame)
        self._t_ns: list[int] = []
        self._position: list[Any] = []
        self._speed: list[float] = []
        self.commanded: Commanded | None = None
        node.create_subscription(JointState, "/joint_states", self._on_joints, 50)
        node.create_subscription(Commanded, "commanded", self._on_commanded, 10)

    def _on_joints(self, message: JointState) -> None:
        index = [message.name.index(name) for name in ARM_JOINTS]
        self._t_ns.append(ns_from(message.header.stamp))
        self._position.append(np.asarray(message.position)[index])
        self._speed.append(float(np.abs(np.asarray(message.velocity)[index]).max()))

    def _on_commanded(self, message: Commanded) -> None:
        self.commanded = message

    @property
    def now_ns(self) -> int:
        """Stamp of the last joint state, in [ns]."""
        return self._t_ns[-1]

    @property
    def last(self) -> int:
        """Number of the last joint state."""
        return len(self._t_ns) - 1

    @property
    def fast(self) -> bool:
        """Whether the arm is commanded to move fast, on a plan."""
        c = self.commanded
        return c is not None and c.mode == Commanded.TRACKING and max(map(abs, c.velocity)) > FAST

    def rest(self, since: int) -> int | None:
        """Number of the first joint state after ``since`` from which on the joints rest, if any."""
        moved = [i for i in range(since, len(self._t_ns)) if self._speed[i] > STILL]
        first = min(moved[-1] + 1 if moved else since, self.last)
        return first if self._t_ns[-1] - self._t_ns[first] >= REST_NS else None

    def way(self, since: int, rest: int | None, healed: int) -> Way:
        """By the numbers of the joint states at the fault, at the rest and at the healing."""
        at = self.last if rest is None else rest
        path = np.array(self._position[since:])
        hand = self._kinematics.poses(path, "tcp")[0]
        after = np.array(self._position[max(healed, at) :])
        lasted = (self._t_ns[at] - self._t_ns[since]) / SECOND
        return Way(
            speed=self._speed[since],
            standstill=float("inf") if rest is None else lasted,
            joint=float(np.abs(path[at - since] - path[0]).max()),
            hand=float(np.linalg.norm(hand[at - since] - hand[0])) * 1e3,
            moves_after=float(np.ptp(after, axis=0).max()),
        )
