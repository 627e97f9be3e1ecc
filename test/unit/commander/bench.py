"""A commander, its clock, and a robot that follows perfectly."""

from __future__ import annotations

import numpy as np
from robots import ARM, arm

from vla_ros.chunks import Plan
from vla_ros.robot.command.commander import Commander
from vla_ros.robot.spec.robot import RobotSpec, spec_hash

MS = 1_000_000
TICK = 10 * MS
RUN = b"r" * 16
NEXT_RUN = b"s" * 16


class Bench:
    """A commander, its clock, and a robot that follows perfectly."""

    def __init__(self, spec: RobotSpec | None = None, *, active: bool = True, **settings) -> None:
        self.spec = spec or arm()
        self.commander = Commander(self.spec, **({"start_enabled": True} | settings))
        self.now = 1_000 * MS
        self.steady = 5_000 * MS
        self.arm = np.zeros(2)
        self.finger = 0.04
        self.blocked = False
        self.seq = 0
        self.windows: list = []
        if active:
            self.ticks(20)

    def joints(self) -> None:
        positions = dict(zip(ARM, self.arm, strict=False))
        positions |= {"finger_joint": self.finger, "wheel": 0.0, "another": 9.0}
        self.commander.joint_state(self.now, positions, self.now, self.steady)

    def tick(self, joints: bool = True):
        self.now += TICK
        self.steady += TICK
        if joints:
            self.joints()
        commands = self.commander.tick(self.now, self.steady)
        self.windows += commands.windows
        if commands.commanded is not None and not self.blocked and commands.windows is not None:
            self.arm = commands.commanded.action[: len(self.arm)]
        return commands

    def ticks(self, count: int, joints: bool = True) -> list:
        return [self.tick(joints) for _ in range(count)]

    def start(self, run_id: bytes = RUN):
        return self.commander.run_started(run_id, self.commander.epoch)

    def plan(self, **change) -> Plan:
        """Half a second towards (0.2, 0.15), the gripper closing in the middle."""
        rows = 11
        way = np.linspace(0.0, 1.0, rows)[:, None]
        goal = np.array([0.2, 0.15])[: len(self.arm)]
        arms = self.arm + (10 * way**3 - 15 * way**4 + 6 * way**5) * (goal - self.arm)
        self.seq += 1
        values = {
            "run_id": RUN,
            "epoch": self.commander.epoch,
            "seq": self.seq,
            "spec_hash": spec_hash(self.spec),
            "t_obs_ns": self.now - 50 * MS,
            "start_ns": self.now,
            "dt_ns": 50 * MS,
            "valid_from_ns": self.now,
            "actions": np.hstack([arms, way < 0.5]),
        }
        return Plan(**(values | change))

    def send(self, **change):
        return self.commander.accept(self.plan(**change), self.now, self.steady)
