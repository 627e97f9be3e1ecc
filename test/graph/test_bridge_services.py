"""The bridge in its own process: emergency stop, change of hands and what /diagnostics says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sensor_msgs.msg import JointState
from stage import Stage, stage
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import BridgeStatus, Commanded
from vla_ros_msgs.srv import TakeOver

from vla_ros.robot.load import load_robot, robot_path
from vla_ros.ros import qos

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

ARM = (0.0, 0.5, 0.0)


class Robot:
    """The bridge of a robot with an emergency stop's topic, and its joint states."""

    def __init__(self, on: Stage, folder: Path) -> None:
        self.stage = on
        values = yaml.safe_load(robot_path("mobile_example").read_text(encoding="utf-8"))
        values["estop"] = {"topic": "/estop"}
        robot = folder / "robot.yaml"
        robot.write_text(yaml.safe_dump(values), encoding="utf-8")
        self.spec = load_robot(robot)
        self.status: BridgeStatus | None = None
        node = on.node
        self._joints = node.create_publisher(JointState, self.spec.state.topic, 10)
        self.estop = node.create_publisher(Bool, "/estop", qos.profile("latched"))
        node.create_subscription(
            BridgeStatus, "bridge_status", self._on_status, qos.profile("latched")
        )
        node.create_timer(0.02, self._publish_joints)
        on.start("control_bridge", robot=robot, start_enabled=True)
        self.until(Commanded.HOLDING, "the bridge in command")

    def until(self, state: int, what: str) -> None:
        self.stage.wait(lambda: self.status is not None and self.status.state == state, what)

    def call(self, kind, name: str, request):
        client = self.stage.node.create_client(kind, f"control_bridge/{name}")
        self.stage.wait(client.service_is_ready, f"the service {name}")
        future = client.call_async(request)
        self.stage.wait(future.done, f"an answer of {name}")
        self.stage.node.destroy_client(client)
        return future.result()

    def _on_status(self, message: BridgeStatus) -> None:
        self.status = message

    def _publish_joints(self) -> None:
        message = JointState(name=list(self.spec.state.joints), position=list(ARM))
        message.header.stamp = self.stage.node.get_clock().now().to_msg()
        self._joints.publish(message)


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Robot]:
    with stage() as on:
        yield Robot(on, tmp_path)


def test_the_emergency_stop_is_latched_and_the_diagnostics_say_so(robot: Robot) -> None:
    on = robot.stage
    on.wait(lambda: on.says("control_bridge", "holding"), "diagnostics that say holding")
    robot.estop.publish(Bool(data=True))
    robot.until(Commanded.STOPPED, "the stop")
    assert robot.status.stop_reason == BridgeStatus.ESTOP
    assert robot.status.reset_required
    on.wait(lambda: on.says("control_bridge", "estop", "release it"), "diagnostics that say estop")
    refused = robot.call(Trigger, "resume", Trigger.Request())
    assert not refused.success
    assert "release it" in refused.message
    robot.estop.publish(Bool(data=False))

    def resumed() -> bool:
        return robot.call(Trigger, "resume", Trigger.Request()).success

    on.wait(resumed, "the resume after the release")
    robot.until(Commanded.HOLDING, "the bridge in command again")
    values = {pair.key for pair in on.diagnostics["control_bridge"].values}
    assert {"joint states [Hz]", "control period [Hz]", "plan left [s]"} <= values


def test_teleoperation_takes_the_robot_for_a_lease_and_a_planner_cannot(robot: Robot) -> None:
    epoch = robot.status.epoch
    taken = robot.call(TakeOver, "take_over", TakeOver.Request(owner="teleop", lease_s=60.0))
    assert taken.success
    robot.until(Commanded.EXTERNAL, "the bridge to be silent")
    assert robot.status.owner == "teleop"
    assert robot.status.epoch != epoch
    planner = robot.call(TakeOver, "take_over", TakeOver.Request(owner="planner", lease_s=1.0))
    assert not planner.success
    assert "'teleop'" in planner.message
    given = robot.call(TakeOver, "take_over", TakeOver.Request(owner="teleop", lease_s=0.0))
    assert given.success
    robot.until(Commanded.HOLDING, "the bridge in command again")
    short = robot.call(TakeOver, "take_over", TakeOver.Request(owner="planner", lease_s=1.0))
    assert short.success
    robot.until(Commanded.EXTERNAL, "the bridge to be silent")
    robot.until(Commanded.HOLDING, "the lease to run out")
