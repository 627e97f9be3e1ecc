"""Trajectories and grippers by action, and controllers switched: the bridge against servers that
answer as ros2_control's do. Needs control_msgs and controller_manager_msgs of a ROS installation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("control_msgs.action", reason="control_msgs is not installed")
pytest.importorskip("controller_manager_msgs.srv", reason="controller_manager_msgs is missing")

from control_msgs.action import FollowJointTrajectory, GripperCommand, ParallelGripperCommand
from controller_manager_msgs.msg import ControllerState
from controller_manager_msgs.srv import ListControllers, SwitchController
from driven import Driven, robot_values
from rclpy.action import ActionServer
from stage import Stage, stage
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import BridgeStatus, Commanded
from vla_ros_msgs.srv import TakeOver

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

ARM = {
    "controller": "follow_joint_trajectory",
    "topic": "/arm_controller/follow_joint_trajectory",
    "controllers": {"activate": ["arm_controller"], "deactivate": ["servo_controller"]},
}
GRIPPER = {
    "controller": "parallel_gripper_command",
    "topic": "/gripper_controller/gripper_cmd",
    "max_effort": 12.0,
    "controllers": {"activate": ["gripper_controller"]},
}


class Hardware:
    """A controller manager and the action servers of its controllers; no goal ever ends."""

    def __init__(self, on: Stage, gripper: type = ParallelGripperCommand) -> None:
        self.states = {
            "arm_controller": "inactive",
            "gripper_controller": "active",
            "servo_controller": "active",
        }
        self.requests: list[SwitchController.Request] = []
        self.arm: list[Any] = []
        self.gripper: list[Any] = []
        self._held: list[Any] = []
        node = on.node
        for name, kind, goals in (
            ("/arm_controller/follow_joint_trajectory", FollowJointTrajectory, self.arm),
            ("/gripper_controller/gripper_cmd", gripper, self.gripper),
        ):
            ActionServer(
                node,
                kind,
                name,
                execute_callback=lambda handle: None,
                handle_accepted_callback=self._keep(goals),
            )
        node.create_service(ListControllers, "/controller_manager/list_controllers", self._list)
        node.create_service(SwitchController, "/controller_manager/switch_controller", self._switch)

    def _keep(self, goals: list[Any]) -> Any:
        def accepted(handle: Any) -> None:
            goals.append(handle.request)
            self._held.append(handle)

        return accepted

    def _list(self, _: Any, response: Any) -> Any:
        response.controller = [
            ControllerState(name=name, state=state) for name, state in self.states.items()
        ]
        return response

    def _switch(self, request: Any, response: Any) -> Any:
        self.requests.append(request)
        self.states |= dict.fromkeys(request.activate_controllers, "active")
        self.states |= dict.fromkeys(request.deactivate_controllers, "inactive")
        response.ok = True
        return response


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        yield made


def call(on: Stage, kind: Any, name: str, request: Any) -> Any:
    client = on.node.create_client(kind, f"control_bridge/{name}")
    on.wait(client.service_is_ready, f"the service {name}")
    future = client.call_async(request)
    on.wait(future.done, f"an answer of {name}")
    return future.result()


def test_what_does_not_run_is_switched_on_before_anything_is_sent(
    on: Stage, tmp_path: Path
) -> None:
    robot = Driven(on, tmp_path, robot_values(arm=ARM, gripper=GRIPPER))
    on.wait(lambda: robot.status is not None, "the bridge")
    robot.until(Commanded.IDLE, "the bridge to wait for its controllers")
    on.wait(lambda: on.says("control_bridge", "nobody serves"), "diagnostics that say so")
    assert robot.commanded == []
    hardware = Hardware(on)
    robot.until(Commanded.HOLDING, "the bridge in command")
    (request,) = hardware.requests
    assert list(request.activate_controllers) == ["arm_controller"]
    assert list(request.deactivate_controllers) == ["servo_controller"]
    assert request.strictness == SwitchController.Request.STRICT
    assert hardware.states["servo_controller"] == "inactive"


def test_a_controller_that_is_not_loaded_is_named_and_nothing_is_switched(
    on: Stage, tmp_path: Path
) -> None:
    hardware = Hardware(on)
    del hardware.states["arm_controller"]
    robot = Driven(on, tmp_path, robot_values(arm=ARM, gripper=GRIPPER))
    words = "'arm_controller' is not loaded, expected active"
    on.wait(lambda: on.says("control_bridge", words), "diagnostics that name it")
    hardware.states["arm_controller"] = "inactive"
    robot.until(Commanded.HOLDING, "the bridge in command")
    assert len(hardware.requests) == 1


def test_windows_and_gripper_are_goals_that_nobody_waits_for(on: Stage, tmp_path: Path) -> None:
    hardware = Hardware(on)
    robot = Driven(on, tmp_path, robot_values(arm=ARM, gripper=GRIPPER))
    robot.until(Commanded.HOLDING, "the bridge in command")
    robot.drive(lambda: bool(hardware.gripper), "a goal for the gripper")
    assert list(hardware.gripper[0].command.name) == ["finger"]
    assert list(hardware.gripper[0].command.position) == [0.0]
    assert list(hardware.gripper[0].command.effort) == [12.0]
    count, samples = len(hardware.arm), len(robot.commanded)
    on.wait(lambda: len(hardware.arm) >= count + 10, "windows as goals", 20.0)
    assert len(robot.commanded) >= samples + 60, "ten goals a second, a hundred periods"
    window = hardware.arm[-1].trajectory
    assert list(window.joint_names) == ["joint1", "joint2"]
    assert not any(window.points[-1].velocities), "it ends in a brake"
    assert any(window.points[1].velocities)
    assert len(hardware.gripper) == 1
    values = {v.key: v.value for v in on.diagnostics["control_bridge"].values}
    assert values["output arm"] == values["output gripper"] == "ok"


def test_gripper_command_has_position_and_effort(on: Stage, tmp_path: Path) -> None:
    hardware = Hardware(on, GripperCommand)
    gripper = GRIPPER | {"controller": "gripper_command"}
    robot = Driven(on, tmp_path, robot_values(arm=ARM, gripper=gripper))
    robot.until(Commanded.HOLDING, "the bridge in command")
    robot.drive(lambda: bool(hardware.gripper), "a goal for the gripper")
    assert hardware.gripper[0].command.position == 0.0
    assert hardware.gripper[0].command.max_effort == 12.0


def test_a_controller_that_is_switched_off_stops_the_robot_until_resumed(
    on: Stage, tmp_path: Path
) -> None:
    hardware = Hardware(on)
    robot = Driven(on, tmp_path, robot_values(arm=ARM, gripper=GRIPPER))
    robot.until(Commanded.HOLDING, "the bridge in command")
    robot.drive(lambda: robot.status.state == Commanded.TRACKING, "the run")
    hardware.states["arm_controller"] = "inactive"
    robot.until(Commanded.STOPPED, "the stop")
    assert robot.status.stop_reason == BridgeStatus.TRACKING_ERROR
    assert "'arm_controller' is inactive, expected active" in robot.status.stop_text
    assert hardware.states["arm_controller"] == "inactive", "nobody but a human switches it back"
    on.wait(lambda: call(on, Trigger, "resume", Trigger.Request()).success, "resume")
    robot.until(Commanded.HOLDING, "the bridge in command again")
    assert hardware.states["arm_controller"] == "active"


def test_after_a_hand_back_the_controllers_are_switched_again(on: Stage, tmp_path: Path) -> None:
    hardware = Hardware(on)
    robot = Driven(on, tmp_path, robot_values(arm=ARM, gripper=GRIPPER))
    robot.until(Commanded.HOLDING, "the bridge in command")
    assert call(on, TakeOver, "take_over", TakeOver.Request(owner="teleop", lease_s=60.0)).success
    robot.until(Commanded.EXTERNAL, "somebody else in command")
    hardware.states |= {"arm_controller": "inactive", "servo_controller": "active"}
    give_back = TakeOver.Request(owner="teleop", lease_s=0.0)
    on.wait(lambda: call(on, TakeOver, "take_over", give_back).success, "the hand-back")
    robot.until(Commanded.HOLDING, "the bridge in command again")
    assert len(hardware.requests) == 2
    assert hardware.states["arm_controller"] == "active"
    assert hardware.states["servo_controller"] == "inactive"
