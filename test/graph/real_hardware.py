"""ros2_control as it is installed, over mock hardware: a real controller manager and controllers.

Needs a ROS installation with ros2_control and ros2_controllers.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from sensor_msgs.msg import JointState
from stage import Stage

from benchmarks.mock_hardware import MockHardware

STATES = ("position", "velocity", "effort")
BROADCASTER = {"type": "joint_state_broadcaster/JointStateBroadcaster"}


def trajectory_controller(joints: Sequence[str]) -> dict[str, Any]:
    """Type and parameters of a JointTrajectoryController that commands positions."""
    return {
        "type": "joint_trajectory_controller/JointTrajectoryController",
        "joints": list(joints),
        "command_interfaces": ["position"],
        "state_interfaces": ["position", "velocity"],
    }


def installed(*packages: str) -> bool:
    """Whether all these packages are installed."""
    try:
        for package in packages:
            get_package_prefix(package)
    except (PackageNotFoundError, ValueError):
        return False
    return True


def urdf_of(joints: Mapping[str, str], *, dynamics: bool, wheels: Collection[str] = ()) -> str:
    """Mock hardware with these joints, each with the kind of its command interface.

    Args:
        joints: Kind of command interface of each joint.
        dynamics: Integrate what is commanded; else what is commanded is measured at once.
        wheels: Those of the joints that turn without end.
    """
    links, drives = "<link name='base'/>", ""
    for name, interface in joints.items():
        states = "".join(f"<state_interface name='{state}'/>" for state in STATES)
        links += (
            f"<link name='{name}_link'/>"
            f"<joint name='{name}' type='{'continuous' if name in wheels else 'revolute'}'>"
            f"<parent link='base'/><child link='{name}_link'/><axis xyz='0 0 1'/>"
            "<limit lower='-3' upper='3' velocity='10' effort='100'/></joint>"
        )
        drives += f"<joint name='{name}'><command_interface name='{interface}'/>{states}</joint>"
    return (
        f"<robot name='mock'>{links}<ros2_control name='mock' type='system'><hardware>"
        "<plugin>mock_components/GenericSystem</plugin>"
        f"<param name='calculate_dynamics'>{str(dynamics).lower()}</param></hardware>"
        f"{drives}</ros2_control></robot>"
    )


class RealHardware(MockHardware):
    """A controller manager in a process of its own.

    Attributes:
        joints: Every JointState that its broadcaster published.
    """

    def __init__(self, on: Stage, urdf: str, parameters: Path) -> None:
        super().__init__(on.node, on.wait, urdf, parameters)
        self.joints: list[JointState] = []
        on.node.create_subscription(JointState, "/joint_states", self.joints.append, 400)

    def at(self, joint: str, field: str = "position") -> float:
        """The newest measured value of a joint; NaN before the first."""
        if not self.joints:
            return float("nan")
        last = self.joints[-1]
        return float(getattr(last, field)[list(last.name).index(joint)])


@contextmanager
def real_hardware(
    on: Stage,
    folder: Path,
    joints: Mapping[str, str],
    controllers: Mapping[str, dict[str, Any]],
    *,
    dynamics: bool = True,
    wheels: Collection[str] = (),
) -> Iterator[RealHardware]:
    """Mock hardware under a real controller manager, its controllers not loaded yet.

    Args:
        on: Where it runs.
        folder: For its files.
        joints: Kind of command interface of each joint.
        controllers: Type and parameters of each controller.
        dynamics: See `urdf_of`.
        wheels: See `urdf_of`.
    """
    parameters: dict[str, Any] = {
        "controller_manager": {
            "ros__parameters": {"update_rate": 500}
            | {name: {"type": keys["type"]} for name, keys in controllers.items()}
        }
    }
    for name, keys in controllers.items():
        rest = {key: value for key, value in keys.items() if key != "type"}
        parameters[name] = {"ros__parameters": rest}
    path = folder / "controllers.yaml"
    path.write_text(json.dumps(parameters), encoding="utf-8")  # YAML without aliases
    running = RealHardware(on, urdf_of(joints, dynamics=dynamics, wheels=wheels), path)
    try:
        yield running
    finally:
        running.close()
