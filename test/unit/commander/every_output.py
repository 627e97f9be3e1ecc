"""Every kind of output alone on a small robot, what it was sent, and how to drive it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from bench import MS, Bench
from robots import ARM, arm

from vla_ros.chunks import Plan
from vla_ros.robot.command.commands import Commands
from vla_ros.robot.spec.robot import RobotSpec

LIMITS = {"velocity": 1.0, "acceleration": 2.0}
FINGER = {"closed_position": 0.0, "open_position": 0.04}
FINGER_LIMITS = {"lower": 0.0, "upper": 0.04, "velocity": 0.1, "acceleration": 1.0, "jerk": 9.0}
DIES = "its own timeout of 0.2 s"
URDF = """<robot name="gantry"><link name="base"/><link name="slide"/><link name="hand"/>
  <joint name="joint1" type="prismatic"><parent link="base"/><child link="slide"/>
    <axis xyz="1 0 0"/><limit lower="-3" upper="3" velocity="3" effort="9"/></joint>
  <joint name="joint2" type="prismatic"><parent link="slide"/><child link="hand"/>
    <axis xyz="0 1 0"/><limit lower="-3" upper="3" velocity="3" effort="9"/></joint></robot>"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of output: its controller, its slice, and the keys that it needs."""

    controller: str
    slice: str
    names: tuple[str, ...] = ARM
    joints: tuple[str, ...] = ARM
    keys: dict = field(default_factory=dict)

    @property
    def id(self) -> str:
        """For pytest."""
        hold = "-hold" if self.keys.get("on_stop") == "hold" else ""
        return f"{self.slice}-{self.controller}{hold}"

    @property
    def spec(self) -> RobotSpec:
        """A robot with this output alone."""
        output = {"name": "out", "controller": self.controller, "topic": "/out"}
        slice_ = {"name": "part", "kind": self.slice, "names": self.names, "output": "out"}
        if self.slice == "pose":
            slice_ |= {"link": "hand", "rotation": "axis_angle"}
        limits = {n: v.model_dump() | {"effort": 5.0} for n, v in arm().limits.items()}
        robot = arm(
            urdf="gantry.urdf",
            action=[slice_],
            outputs=[output | {"joints": self.joints} | self.keys],
            limits=limits | {"finger_joint": FINGER_LIMITS},
            poses={},
            owners={"policy": 10, "others": {"teleop": 30}},
        )
        return robot.with_urdf(URDF)

    def rows(self, count: int, at: np.ndarray) -> np.ndarray:
        """A plan of this kind: half a second towards somewhere, or of driving and pressing."""
        s = np.linspace(0.0, 1.0, count)[:, None]
        if self.slice == "position":
            return at + (10 * s**3 - 15 * s**4 + 6 * s**5) * np.array([0.4, 0.3])
        if self.slice == "pose":
            way = (10 * s**3 - 15 * s**4 + 6 * s**5) * np.array([0.4, 0.3])
            return np.hstack([at + way, np.zeros((count, 4))])
        if self.slice == "velocity":
            return np.tile([0.5, -0.3, 0.2, 0.1, 0.1, 0.1][: len(self.names)], (count, 1))
        if self.slice == "effort":
            return np.tile([2.0, -1.0], (count, 1))
        return (s > 0.2).astype(float) if self.slice == "binary" else 0.5 + 0.5 * s


TWIST = {
    "names": ("vx", "vyaw"),
    "joints": ("x", "yaw"),
    "keys": {"on_host_loss": DIES, "limits": {"x": LIMITS, "yaw": LIMITS}},
}
SERVO_AXES = ("x", "y", "z", "roll", "pitch", "yaw")
RUNS_ON = {"on_host_loss": DIES}
POSE = {
    "slice": "pose",
    "names": ("x", "y", "z", "rx", "ry", "rz"),
    "keys": {"limits": {"linear": LIMITS, "angular": LIMITS}},
}
GRIP = {"names": ("grip",), "joints": ("finger_joint",), "keys": FINGER}

KINDS = [
    Kind(controller="joint_trajectory", slice="position"),
    Kind(controller="joint_trajectory_chunks", slice="position", keys={"limits": "none"}),
    Kind(controller="follow_joint_trajectory", slice="position"),
    Kind(controller="forward_position", slice="position"),
    Kind(controller="forward_velocity", slice="velocity", keys=RUNS_ON),
    Kind(controller="servo_joint_jog", slice="velocity", keys=RUNS_ON),
    Kind(controller="twist", slice="velocity", **TWIST),
    Kind(controller="twist_stamped", slice="velocity", **TWIST),
    Kind(
        controller="servo_twist",
        slice="velocity",
        names=SERVO_AXES,
        joints=SERVO_AXES,
        keys={"on_host_loss": DIES, "limits": dict.fromkeys(SERVO_AXES, LIMITS)},
    ),
    Kind(controller="pose_stamped", **POSE),
    Kind(controller="servo_pose", **POSE),
    Kind(controller="forward_effort", slice="effort", keys=RUNS_ON),
    Kind(controller="forward_effort", slice="effort", keys=RUNS_ON | {"on_stop": "hold"}),
    *(
        Kind(controller=controller, slice=slice_, **GRIP)
        for slice_ in ("binary", "gripper")
        for controller in (
            "joint_trajectory",
            "follow_joint_trajectory",
            "forward_position",
            "gripper_command",
            "parallel_gripper_command",
        )
    ),
]


class Rig(Bench):
    """A bench for one kind, with a robot that does what it is sent, and a log of that.

    Attributes:
        kind: What is tested.
        sent: (tick time, payload) of everything sent to the output.
    """

    def __init__(self, kind: Kind, **settings) -> None:
        self.kind = kind
        self.sent: list = []
        super().__init__(kind.spec, **settings)

    def tick(self, joints: bool = True) -> Commands:
        """One control period; the robot follows."""
        before = self.arm
        commands = super().tick(joints)
        self.arm = before
        for _, payload in (*commands.windows, *commands.values, *commands.grips):
            self.sent.append((self.now, payload))
        if commands.commanded is not None and not self.blocked:
            action = commands.commanded.action
            if self.kind.slice in ("position", "pose"):
                self.arm = action[:2]
            elif self.kind.slice == "velocity" and self.kind.joints == ARM:
                self.arm = self.arm + action * 0.01
        return commands

    def plan(self, rows: int = 26, **change) -> Plan:
        """Half a second and more of this kind's rows."""
        actions = self.kind.rows(rows, self.arm)
        return super().plan(**({"actions": actions, "dt_ns": 40 * MS} | change))

    def drive(self, ticks: int = 40) -> None:
        """Into the middle of a plan."""
        assert self.start() is None
        assert self.send() is None
        self.ticks(ticks)
        assert self.commander.mode == "TRACKING"

    def since(self, count: int) -> list:
        """Payloads sent after the first ``count``."""
        return [payload for _, payload in self.sent[count:]]
