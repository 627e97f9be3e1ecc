"""A mobile robot's file through the real bridge: velocities leave as TwistStamped, and stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState
from stage import Stage, stage
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Run

from vla_ros.chunks import Plan
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.plan import chunk_msg

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

FORWARD, TURN = 0.3, 0.2
ARM = (0.0, 0.5, 0.0)


class Base:
    """The bridge of a mobile robot, its joint states, and what it sends to the base."""

    def __init__(self, on: Stage, robot: Path) -> None:
        self.stage = on
        self.spec = load_robot(str(robot))
        self.twists: list[TwistStamped] = []
        self.status: BridgeStatus | None = None
        node = on.node
        self._joints = node.create_publisher(JointState, self.spec.state.topic, 10)
        self.runs = node.create_publisher(Run, "run", qos.profile("run"))
        self.chunks = node.create_publisher(ActionChunk, "action_chunk", qos.profile("chunk"))
        topic = self.spec.output("base").topic
        node.create_subscription(TwistStamped, topic, self.twists.append, 500)
        node.create_subscription(
            BridgeStatus, "bridge_status", self._on_status, qos.profile("latched")
        )
        node.create_timer(0.02, self._publish_joints)
        on.start("control_bridge", robot=robot, start_enabled=True)
        on.wait(lambda: self.status is not None and bool(self.twists), "the bridge in command")

    def _on_status(self, message: BridgeStatus) -> None:
        self.status = message

    def _publish_joints(self) -> None:
        message = JointState(name=list(self.spec.state.joints), position=list(ARM))
        message.header.stamp = self.stage.node.get_clock().now().to_msg()
        self._joints.publish(message)

    def drive(self) -> None:
        """Start a run and send it a chunk that drives at one speed for 4.5 s."""
        assert self.status is not None
        run_id = self.stage.begin_run(self.runs, self.chunks, lambda: self.status)
        now = self.stage.node.get_clock().now().nanoseconds
        plan = Plan(
            run_id=run_id,
            epoch=self.status.epoch,
            seq=1,
            spec_hash=spec_hash(self.spec),
            t_obs_ns=now,
            start_ns=now,
            dt_ns=50_000_000,
            valid_from_ns=now,
            actions=np.tile([FORWARD, TURN, *ARM], (90, 1)),
        )
        self.chunks.publish(chunk_msg(plan, self.spec.base_frame))


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Base]:
    """Its bridge is more patient than a robot's should be."""
    robot = tmp_path / "patient_base.yaml"
    patience = "watchdogs: {joint_state_max_age_s: 3.0, plan_max_age_s: 6.0}\n"
    robot.write_text(robot_path("mobile_example").read_text() + patience)
    with stage() as on:
        yield Base(on, robot)


def fast(twist: TwistStamped) -> bool:
    return twist.twist.linear.x > 0.9 * FORWARD


def still(base: Base) -> bool:
    twist = base.twists[-1].twist
    return twist.linear.x == 0.0 and twist.angular.z == 0.0


def silent(base: Base) -> bool:
    count = len(base.twists)
    return not base.stage.waits(lambda: len(base.twists) > count, 0.5)


def test_velocity_rows_become_twists_within_the_limits_and_end_in_zero(base: Base) -> None:
    base.drive()
    base.stage.wait(lambda: any(map(fast, base.twists)), "the base to drive", 20.0)
    base.stage.wait(lambda: still(base), "the base to stand when the plan is over")
    assert {t.header.frame_id for t in base.twists} == {base.spec.base_frame}
    x = np.array([t.twist.linear.x for t in base.twists])
    yaw = np.array([t.twist.angular.z for t in base.twists])
    t = np.array([t.header.stamp.sec + t.header.stamp.nanosec * 1e-9 for t in base.twists])
    assert x.max() <= FORWARD + 1e-6
    assert yaw.max() <= TURN + 1e-6
    dt = np.diff(t)
    steps = dt > 1e-4
    assert (np.abs(np.diff(x))[steps] <= 0.8 * np.maximum(dt[steps], 0.01) + 1e-6).all()


def test_a_stop_brings_the_base_to_zero_before_its_plan_is_over(base: Base) -> None:
    base.drive()
    base.stage.wait(lambda: fast(base.twists[-1]), "the base to drive", 20.0)
    client = base.stage.node.create_client(Trigger, "control_bridge/stop")
    base.stage.wait(client.service_is_ready, "the stop service")
    answer = client.call_async(Trigger.Request())
    base.stage.wait(answer.done, "the answer")
    base.stage.wait(lambda: still(base), "the base to stand", timeout_s=3.0)
    count = len(base.twists)
    base.stage.wait(lambda: silent(base), "the bridge to fall silent", 20.0)
    assert all(t.twist.linear.x == 0.0 for t in base.twists[count:])
