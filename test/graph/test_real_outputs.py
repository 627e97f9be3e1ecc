"""The bridge's outputs against ros2_control itself: a real controller manager over mock hardware.

Runs where ros2_control and ros2_controllers are installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driven import ARM, Driven, robot_values
from real_hardware import (
    BROADCASTER,
    RealHardware,
    installed,
    real_hardware,
    trajectory_controller,
)
from stage import Stage, stage
from vla_ros_msgs.msg import BridgeStatus, Commanded

NEEDED = ("controller_manager", "joint_trajectory_controller", "forward_command_controller")
pytestmark = [
    pytest.mark.graph,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not installed(*NEEDED), reason=f"{', '.join(NEEDED)} are not installed"),
]

JOINTS = {
    "joint1": "position",
    "joint2": "position",
    "finger": "position",
    "lift": "velocity",
    "press": "effort",
}
FORWARD_CONTROLLER = {"type": "forward_command_controller/ForwardCommandController"}
CONTROLLERS: dict[str, dict[str, Any]] = {
    "broadcaster": BROADCASTER,
    "arm_controller": trajectory_controller(ARM),
    "arm_forward": FORWARD_CONTROLLER | {"joints": ARM, "interface_name": "position"},
    "lift_controller": FORWARD_CONTROLLER | {"joints": ["lift"], "interface_name": "velocity"},
    "press_controller": FORWARD_CONTROLLER | {"joints": ["press"], "interface_name": "effort"},
    "finger_forward": FORWARD_CONTROLLER | {"joints": ["finger"], "interface_name": "position"},
    "parallel": {
        "type": "parallel_gripper_action_controller/GripperActionController",
        "joint": "finger",
        "allow_stalling": True,
    },
    "gripper_command": {
        "type": "position_controllers/GripperActionController",
        "joint": "finger",
        "allow_stalling": True,
    },
}
WINDOWS = {"controller": "joint_trajectory", "topic": "/arm_controller/joint_trajectory"}
CHUNKS = WINDOWS | {"controller": "joint_trajectory_chunks", "limits": "none"}
FOLLOW = {
    "controller": "follow_joint_trajectory",
    "topic": "/arm_controller/follow_joint_trajectory",
}
FORWARD = {"controller": "forward_position", "topic": "/arm_forward/commands"}
FINGER = {
    "controller": "forward_position",
    "topic": "/finger_forward/commands",
    "controllers": {"activate": ["finger_forward"]},
}


@pytest.fixture
def hardware(tmp_path: Path) -> Iterator[tuple[Stage, RealHardware]]:
    with stage() as on, real_hardware(on, tmp_path, JOINTS, CONTROLLERS) as made:
        made.bring_up("broadcaster", "arm_forward")
        made.load("arm_controller", "lift_controller", "finger_forward")
        on.wait(lambda: bool(made.joints), "joint states")
        yield on, made


def robot_on(
    on: Stage, folder: Path, arm: dict[str, Any], gripper: dict[str, Any] = FINGER
) -> Driven:
    """A robot whose arm goes through JTC or, where said so, through the forward controller."""
    names = ["arm_controller", "arm_forward"]
    if arm["controller"] == "forward_position":
        names.reverse()
    controllers = {"activate": [names[0], "lift_controller"], "deactivate": [names[1]]}
    values = robot_values(arm=arm | {"controllers": controllers}, gripper=gripper)
    robot = Driven(on, folder, values, simulated=False)
    robot.until(Commanded.HOLDING, "the bridge in command")
    return robot


def stamp_s(message: Any) -> float:
    """When a stamped message was made."""
    return float(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9)


def lag(robot: Driven, hardware: RealHardware) -> float:
    """How far joint1 is measured from where it was commanded at that time."""
    times = [stamp_s(message) for message in robot.commanded]
    measured = next(m for m in reversed(hardware.joints) if stamp_s(m) <= times[-1])
    commanded = np.interp(stamp_s(measured), times, [m.action[0] for m in robot.commanded])
    return abs(measured.position[list(measured.name).index("joint1")] - float(commanded))


@pytest.mark.parametrize(
    "arm", [WINDOWS, CHUNKS, FOLLOW, FORWARD], ids=lambda value: value["controller"]
)
def test_controllers_are_switched_and_the_robot_follows_and_comes_to_rest(
    hardware: tuple[Stage, RealHardware], tmp_path: Path, arm: dict[str, Any]
) -> None:
    on, real = hardware
    robot = robot_on(on, tmp_path, arm)
    states = real.states()
    forward = arm is FORWARD
    assert states["arm_controller"] == ("inactive" if forward else "active")
    assert states["arm_forward"] == ("active" if forward else "inactive")
    assert states["lift_controller"] == states["finger_forward"] == "active"
    robot.drive(
        lambda: real.at("joint1") > 0.3 and abs(real.at("lift", "velocity") - 0.2) < 0.02,
        "the arm and the lift on their way",
    )
    assert lag(robot, real) < 0.05
    assert on.stop("control_bridge") == 0
    on.wait(lambda: real.at("lift", "velocity") == 0.0, "the lift to stand", 3.0)
    count = len(real.joints)
    on.wait(lambda: len(real.joints) > count + 250, "more joint states")
    moved = [m.position[list(m.name).index("joint1")] for m in real.joints[-50:]]
    assert max(moved) - min(moved) < 1e-6, "it rests"


@pytest.mark.parametrize(("on_stop", "left"), [("zero", 0.0), ("hold", 0.15)])
def test_an_effort_is_clipped_and_ends_as_the_robot_file_says(
    tmp_path: Path, on_stop: str, left: float
) -> None:
    values = robot_values(arm=WINDOWS, gripper=FINGER)
    values["action"][2] = {"name": "lift", "kind": "effort", "names": ["press"], "output": "lift"}
    values["outputs"][2] |= {
        "controller": "forward_effort",
        "topic": "/press_controller/commands",
        "joints": ["press"],
        "on_stop": on_stop,
    }
    values["state"]["joints"][-1] = "press"
    values["limits"]["press"] = values["limits"].pop("lift") | {"effort": 0.15}
    with (
        stage() as on,
        real_hardware(on, tmp_path, JOINTS, CONTROLLERS, dynamics=False) as real,
    ):
        real.bring_up("broadcaster", "arm_controller", "press_controller", "finger_forward")
        on.wait(lambda: bool(real.joints), "joint states")
        robot = Driven(on, tmp_path, values, simulated=False)
        robot.until(Commanded.HOLDING, "the bridge in command")
        robot.drive(lambda: real.at("press", "effort") == 0.15, "the effort, clipped")
        assert on.stop("control_bridge") == 0
        count = len(real.joints)
        on.wait(lambda: len(real.joints) > count + 250, "more joint states")
        assert real.at("press", "effort") == left


@pytest.mark.parametrize("arm", [WINDOWS, FOLLOW], ids=lambda value: value["controller"])
def test_a_killed_bridge_leaves_an_arm_that_brakes_within_its_limits(
    hardware: tuple[Stage, RealHardware], tmp_path: Path, arm: dict[str, Any]
) -> None:
    on, real = hardware
    robot = robot_on(on, tmp_path, arm)
    robot.drive(lambda: real.at("joint1") > 0.3, "the arm on its way")
    before = len(real.joints)
    on.kill("control_bridge")
    on.wait(lambda: len(real.joints) > before + 600, "more joint states")
    index = list(real.joints[-1].name).index("joint1")
    recent = real.joints[before - 50 :]
    t = np.array([stamp_s(message) for message in recent])
    q = np.array([m.position[index] for m in recent])
    grid = np.arange(t[0], t[-1], 0.02)
    acceleration = np.diff(np.interp(grid, t, q), 2) / 0.02**2
    assert np.abs(acceleration).max() < 4.0 * 1.3
    assert np.ptp(q[-50:]) < 1e-6


def test_a_controller_that_is_switched_off_in_mid_motion_stops_the_run(
    hardware: tuple[Stage, RealHardware], tmp_path: Path
) -> None:
    on, real = hardware
    robot = robot_on(on, tmp_path, WINDOWS)
    robot.drive(lambda: robot.status.state == Commanded.TRACKING, "the run")
    real.switch(deactivate=("arm_controller",))
    robot.until(Commanded.STOPPED, "the stop")
    assert robot.status.stop_reason == BridgeStatus.TRACKING_ERROR
    assert "'arm_controller' is inactive, expected active" in robot.status.stop_text


@pytest.mark.parametrize(
    ("controller", "name", "package"),
    [
        ("parallel_gripper_command", "parallel", "parallel_gripper_controller"),
        ("gripper_command", "gripper_command", "gripper_controllers"),
    ],
)
def test_a_gripper_is_moved_by_its_action(
    hardware: tuple[Stage, RealHardware],
    tmp_path: Path,
    controller: str,
    name: str,
    package: str,
) -> None:
    if not installed(package):
        pytest.skip(f"{package} is not installed")
    on, real = hardware
    real.load(name)
    gripper = {
        "controller": controller,
        "topic": f"/{name}/gripper_cmd",
        "max_effort": 5.0,
        "closed_position": 0.03,
        "open_position": 0.0,
        "controllers": {"activate": [name]},
    }
    robot = robot_on(on, tmp_path, WINDOWS, gripper)
    robot.drive(lambda: real.at("finger") > 0.029, "the gripper to close")
    assert lag(robot, real) < 0.05, "the arm goes on meanwhile"
    on.wait(lambda: told(on).get("output gripper") == "ok", "diagnostics that say so")
    on.kill("control_bridge")
    count = len(real.joints)
    on.wait(lambda: len(real.joints) > count + 250, "more joint states")
    assert real.at("finger") > 0.029, "it keeps its target"


def told(on: Stage) -> dict[str, str]:
    """What the bridge's newest diagnostics say, by key."""
    status = on.diagnostics.get("control_bridge")
    return {} if status is None else {value.key: value.value for value in status.values}
