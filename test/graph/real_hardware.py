"""ros2_control as it is installed, over mock hardware: a real controller manager and controllers.

Needs a ROS installation with ros2_control and ros2_controllers.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from stage import Stage
from std_msgs.msg import String

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


class RealHardware:
    """A controller manager in a process of its own.

    Attributes:
        joints: Every JointState that its broadcaster published.
    """

    def __init__(self, on: Stage) -> None:
        self._stage = on
        self.joints: list[JointState] = []
        on.node.create_subscription(JointState, "/joint_states", self.joints.append, 400)

    def call(self, kind: Any, service: str, /, **values: Any) -> Any:
        """The answer of a service of the controller manager."""
        client = self._stage.node.create_client(kind, f"/controller_manager/{service}")
        self._stage.wait(client.service_is_ready, f"the service {service}")
        future = client.call_async(kind.Request(**values))
        self._stage.wait(future.done, f"an answer of {service}")
        self._stage.node.destroy_client(client)
        return future.result()

    def load(self, names: list[str], active: list[str]) -> None:
        """Load and configure controllers, and activate some of them."""
        from controller_manager_msgs.srv import ConfigureController, LoadController

        for name in names:
            assert self.call(LoadController, "load_controller", name=name).ok, name
            assert self.call(ConfigureController, "configure_controller", name=name).ok, name
        self.switch(active)

    def switch(self, activate: list[str], deactivate: list[str] | None = None) -> None:
        """Switch controllers, strictly."""
        from controller_manager_msgs.srv import SwitchController

        answer = self.call(
            SwitchController,
            "switch_controller",
            activate_controllers=activate,
            deactivate_controllers=deactivate or [],
            strictness=SwitchController.Request.STRICT,
        )
        assert answer.ok, answer

    def states(self) -> dict[str, str]:
        """State of each loaded controller."""
        from controller_manager_msgs.srv import ListControllers

        listed = self.call(ListControllers, "list_controllers").controller
        return {controller.name: controller.state for controller in listed}

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
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    description = on.node.create_publisher(String, "/robot_description", latched)
    description.publish(String(data=urdf_of(joints, dynamics=dynamics, wheels=wheels)))
    binary = Path(get_package_prefix("controller_manager"), "lib", "controller_manager")
    argv = [str(binary / "ros2_control_node"), "--ros-args", "--params-file", str(path)]
    with (folder / "controller_manager.log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield RealHardware(on)
        finally:
            process.terminate()
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
