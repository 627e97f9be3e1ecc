"""One bridge in its own process, the joint states of its robot, and a run to send it plans."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sensor_msgs.msg import JointState
from stage import Stage
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Run

from vla_ros.chunks import Plan
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.plan import chunk_msg


class Driven:
    """A robot made of a file's values, its bridge, and what the bridge says.

    Args:
        on: Where it runs.
        folder: For the robot file.
        values: Of the robot file.
        simulated: Whether to publish joint states that follow the commanded positions.
        rows: The rows (T, A) of a plan for what was commanded last; `driving` where not given.

    Attributes:
        spec: Its robot file.
        status: The newest BridgeStatus.
        commanded: Every Commanded.
    """

    def __init__(
        self,
        on: Stage,
        folder: Path,
        values: dict[str, Any],
        *,
        simulated: bool = True,
        rows: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.stage = on
        self._rows = rows or (lambda action: driving(action[: len(ARM)]))
        path = folder / "robot.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        self.spec = load_robot(path)
        self.status: BridgeStatus | None = None
        self.commanded: list[Commanded] = []
        self._joints = dict.fromkeys(self.spec.state.joints, 0.0)
        node = on.node
        self._publisher = node.create_publisher(JointState, self.spec.state.topic, 10)
        self._runs = node.create_publisher(Run, "run", qos.profile("run"))
        self._chunks = node.create_publisher(ActionChunk, "action_chunk", qos.profile("chunk"))
        latched = qos.profile("latched")
        node.create_subscription(BridgeStatus, "bridge_status", self._on_status, latched)
        commanded = qos.profile("commanded")
        node.create_subscription(Commanded, "commanded", self._on_commanded, commanded)
        if simulated:
            node.create_timer(0.02, self._publish_joints)
        on.start("control_bridge", robot=path, start_enabled=True)

    def until(self, state: int, what: str, timeout_s: float = 60.0) -> None:
        """Wait for a state of the bridge."""
        self.stage.wait(
            lambda: self.status is not None and self.status.state == state, what, timeout_s
        )

    def drive(self, condition: Callable[[], bool], what: str) -> None:
        """Start a run and drive until the condition holds; fail where the robot is stopped.

        A new chunk comes every second: a bridge that was starved for a tenth of one gives up the
        velocities of the chunk it has.
        """
        assert self.status is not None
        run_id = self.stage.begin_run(self._runs, self._chunks, lambda: self.status)
        self.stage.wait(lambda: bool(self.commanded), "the bridge to report its commands")
        begin = time.monotonic()
        for seq in range(1, 20):
            self._send(run_id, seq)
            self.stage.wait(
                lambda end=begin + seq: condition() or time.monotonic() > end, what, 20.0
            )
            assert self.status.stop_text == "", self.status.stop_text
            if condition():
                return
        raise AssertionError(f"drove 20 s for {what}")

    def _send(self, run_id: bytes, seq: int) -> None:
        now = self.stage.node.get_clock().now().nanoseconds
        plan = Plan(
            run_id=run_id,
            epoch=self.status.epoch,
            seq=seq,
            spec_hash=spec_hash(self.spec),
            t_obs_ns=now,
            start_ns=now,
            dt_ns=50_000_000,
            valid_from_ns=now,
            actions=self._rows(np.array(self.commanded[-1].action)),
        )
        self._chunks.publish(chunk_msg(plan, self.spec.base_frame))

    def _on_status(self, message: BridgeStatus) -> None:
        self.status = message

    def _on_commanded(self, message: Commanded) -> None:
        self.commanded.append(message)
        space = self.spec.action_space()
        for part in space.slices:
            if part.kind == "position":
                self._joints |= dict(
                    zip(part.names, message.action[part.start : part.stop], strict=True)
                )

    def _publish_joints(self) -> None:
        message = JointState(name=list(self._joints), position=list(self._joints.values()))
        message.header.stamp = self.stage.node.get_clock().now().to_msg()
        self._publisher.publish(message)


LIMITS = {"lower": -2.0, "upper": 2.0, "velocity": 1.5, "acceleration": 4.0, "jerk": 60.0}
FINGER = {"lower": 0.0, "upper": 0.04, "velocity": 0.1, "acceleration": 1.0, "jerk": 9.0}
AXIS = {"velocity": 0.5, "acceleration": 0.8}
ARM = ["joint1", "joint2"]


def patient_values(name: str, joints: Sequence[str], **rest: Any) -> dict[str, Any]:
    """A robot file's values, for a robot without cameras; patient as a test must be."""
    return {
        "name": name,
        "base_frame": "base",
        "anchor": "state",
        "state": {
            "topic": "/joint_states",
            "joints": list(joints),
            "tolerance_s": 0.05,
            "on_loss": "stop",
        },
        "rates": {"lookahead_s": 0.5},
        "max_first_step": 0.5,
        "max_tracking_error": 1.0,
        "watchdogs": {"joint_state_max_age_s": 5.0, "plan_max_age_s": 6.0},
    } | rest


def robot_values(*, arm: dict[str, Any], gripper: dict[str, Any]) -> dict[str, Any]:
    """An arm, a gripper, a lift that takes velocities, and a base."""
    return patient_values(
        "everything",
        [*ARM, "finger", "lift"],
        action=[
            {"name": "arm", "kind": "position", "names": ARM, "output": "arm"},
            {"name": "grip", "kind": "binary", "names": ["grip"], "output": "gripper"},
            {"name": "lift", "kind": "velocity", "names": ["lift"], "output": "lift"},
            {"name": "base", "kind": "velocity", "names": ["vx", "wz"], "output": "base"},
        ],
        outputs=[
            {"name": "arm", "joints": ARM} | arm,
            {"name": "gripper", "joints": ["finger"], "closed_position": 0.0}
            | {"open_position": 0.04}
            | gripper,
            {
                "name": "lift",
                "controller": "forward_velocity",
                "topic": "/lift_controller/commands",
                "joints": ["lift"],
                "on_host_loss": "the drive's own timeout of 0.2 s",
            },
            {
                "name": "base",
                "controller": "twist_stamped",
                "topic": "/cmd_vel",
                "joints": ["x", "yaw"],
                "rate_hz": 20,
                "on_host_loss": "cmd_vel_timeout 0.5 s",
                "limits": {"x": AXIS, "yaw": AXIS},
            },
        ],
        limits=dict.fromkeys([*ARM, "lift"], LIMITS) | {"finger": FINGER},
    )


def driving(arm: Sequence[float], rows: int = 80) -> np.ndarray:
    """The arm on its way, the gripper closed, lift and base at one speed. Shape (T, 6).

    Args:
        arm: Where the arm is; near zero it goes one way, far from it back.
        rows: How many, T.
    """
    s = np.linspace(0.0, 1.0, rows)[:, None]
    way = np.array([1.6, -1.2]) * (1.0 if abs(arm[0]) < 1.0 else -1.0)
    return np.hstack([np.asarray(arm) + s * way, np.tile([0.0, 0.2, 0.3, -0.2], (rows, 1))])


GANTRY = """<robot name="gantry"><link name="base"/><link name="slide"/><link name="hand"/>
  <joint name="joint1" type="prismatic"><parent link="base"/><child link="slide"/>
    <axis xyz="1 0 0"/><limit lower="-3" upper="3" velocity="3" effort="9"/></joint>
  <joint name="joint2" type="prismatic"><parent link="slide"/><child link="hand"/>
    <axis xyz="0 1 0"/><limit lower="-3" upper="3" velocity="3" effort="9"/></joint></robot>"""
POSE_LIMITS = {
    "linear": {"velocity": 0.25, "acceleration": 0.5},
    "angular": {"velocity": 0.5, "acceleration": 1.0},
}


def gantry_values(folder: Path, output: dict[str, Any]) -> dict[str, Any]:
    """A robot whose controller is told where its hand is to be."""
    (folder / "gantry.urdf").write_text(GANTRY, encoding="utf-8")
    return patient_values(
        "gantry",
        ARM,
        urdf="gantry.urdf",
        action=[{"name": "hand", "kind": "pose", "link": "hand", "output": "hand"}],
        outputs=[{"name": "hand", "joints": ARM, "limits": POSE_LIMITS} | output],
        max_tracking_error=2.0,
    )


def leading(pose: np.ndarray, rows: int = 80) -> np.ndarray:
    """The hand on its way along x, turning about z. Shape (T, 7)."""
    s = np.linspace(0.0, 1.0, rows)[:, None]
    angle = 2.0 * np.arctan2(pose[5], pose[6]) + 0.8 * s
    zero = np.zeros_like(s)
    place = pose[:3] + s * np.array([0.6, 0.0, 0.0])
    return np.hstack([place, zero, zero, np.sin(angle / 2.0), np.cos(angle / 2.0)])
