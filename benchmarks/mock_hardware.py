"""A real ros2_control with mock hardware: controller_manager and its controllers, where installed.

An installation counts when the shell has sourced it, so that `controller_manager` is found through
AMENT_PREFIX_PATH and its messages can be imported.
"""

from __future__ import annotations

import os
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rclpy.node import Node
from std_msgs.msg import String

from vla_ros.cli.processes import Command, ProcessGraph
from vla_ros.errors import VlaError
from vla_ros.ros import qos

PLUGINS = (
    "controller_manager",
    "joint_trajectory_controller",
    "joint_state_broadcaster",
)
MISSING = (
    "no ros2_control here: source a ROS installation that has "
    + ", ".join(PLUGINS)
    + " (its setup.bash) after this workspace"
)
Wait = Callable[[Callable[[], bool], str], None]
_MANAGER = "/controller_manager"
_AGAIN_S = 5.0


def executable() -> Path | None:
    """The ros2_control_node of the sourced installation, if there is a complete one."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    if not all(any((p / "share" / name).is_dir() for p in prefixes) for name in PLUGINS):
        return None
    paths = (p / "lib" / "controller_manager" / "ros2_control_node" for p in prefixes)
    return next((path for path in paths if path.is_file()), None)


def mock_urdf(urdf: str, states: Mapping[str, tuple[float, float]], **hardware: str) -> str:
    """A URDF with a ros2_control section: position commands, position and velocity states.

    Args:
        urdf: Text of a URDF.
        states: Joints of the hardware, with their position and velocity at first. The velocity
            stays unless ``calculate_dynamics`` is set.
        hardware: Parameters of mock_components/GenericSystem.
    """
    root = ET.fromstring(urdf)
    system = ET.SubElement(root, "ros2_control", name="mock", type="system")
    box = ET.SubElement(system, "hardware")
    ET.SubElement(box, "plugin").text = "mock_components/GenericSystem"
    for name, text in hardware.items():
        ET.SubElement(box, "param", name=name).text = text
    for name, state in states.items():
        joint = ET.SubElement(system, "joint", name=name)
        ET.SubElement(joint, "command_interface", name="position")
        for interface, value in zip(("position", "velocity"), state, strict=True):
            described = ET.SubElement(joint, "state_interface", name=interface)
            ET.SubElement(described, "param", name="initial_value").text = f"{float(value)!r}"
    return ET.tostring(root, encoding="unicode")


class MockHardwareError(VlaError):
    """ros2_control did not do what it was told."""

    def __init__(self, what: str, lines: list[str]) -> None:
        super().__init__("\n".join([what, *lines[-20:]]))


class MockHardware:
    """A running controller_manager.

    Args:
        node: Talks to it; its executor must be spun by `wait`.
        wait: Handles callbacks until a condition holds; told in words what is waited for.
        urdf: Of `mock_urdf`.
        parameters: Parameter file with the update rate and the controllers.
    """

    def __init__(self, node: Node, wait: Wait, urdf: str, parameters: Path) -> None:
        found = executable()
        if found is None:
            raise MockHardwareError(MISSING, [])
        self.lines: list[str] = []
        self._node, self._wait = node, wait
        self._command = Command(
            label="ros2_control",
            argv=(str(found), "--ros-args", "--params-file", str(parameters)),
            environment={},
            required=False,
        )
        self._description = node.create_publisher(
            String, "/robot_description", qos.profile("latched")
        )
        self._description.publish(String(data=urdf))
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid("ros2_control")

    def start_again(self) -> None:
        """After its death."""
        self._process = self._start()

    def bring_up(self, *names: str) -> None:
        """Load, configure and activate controllers."""
        self.load(*names)
        self.switch(activate=names)

    def load(self, *names: str) -> None:
        """Load and configure controllers."""
        from controller_manager_msgs.srv import ConfigureController, LoadController

        for name in names:
            self._told(LoadController, "load_controller", name=name)
            self._told(ConfigureController, "configure_controller", name=name)

    def switch(self, *, activate: tuple[str, ...] = (), deactivate: tuple[str, ...] = ()) -> None:
        """Activate and deactivate controllers, all or none."""
        from controller_manager_msgs.srv import SwitchController

        request = {
            "activate_controllers": list(activate),
            "deactivate_controllers": list(deactivate),
            "strictness": SwitchController.Request.STRICT,
        }
        self._told(SwitchController, "switch_controller", **request)

    def states(self) -> dict[str, str]:
        """State of each loaded controller."""
        from controller_manager_msgs.srv import ListControllers

        listed = self._call(ListControllers, "list_controllers")[0].controller
        return {controller.name: controller.state for controller in listed}

    def close(self) -> None:
        """End it."""
        self._process.stop(20.0)
        self._node.destroy_publisher(self._description)

    def _start(self) -> ProcessGraph:
        process = ProcessGraph([self._command], lambda _, line: self.lines.append(line))
        process.start()
        return process

    def _told(self, kind: Any, service: str, **fields: Any) -> None:
        if not any(answer.ok for answer in self._call(kind, service, **fields)):
            raise MockHardwareError(f"{service} {fields} failed", self.lines)

    def _call(self, kind: Any, service: str, **fields: Any) -> list[Any]:
        """Its answers; one that has just died may have been asked in vain, so it is asked again."""
        client = self._node.create_client(kind, f"{_MANAGER}/{service}")
        attempts: list[Any] = []
        asked_s = 0.0

        def answered() -> bool:
            nonlocal asked_s
            if client.service_is_ready() and time.monotonic() > asked_s + _AGAIN_S:
                asked_s = time.monotonic()
                attempts.append(client.call_async(kind.Request(**fields)))
            return any(attempt.done() for attempt in attempts)

        try:
            self._alive(answered, f"the answer of {service}")
            return [attempt.result() for attempt in attempts if attempt.done()]
        finally:
            self._node.destroy_client(client)

    def _alive(self, done: Callable[[], bool], what: str) -> None:
        self._wait(lambda: done() or self._process.wait(0.0), what)
        if not done():
            raise MockHardwareError(f"ros2_control ended while waiting for {what}", self.lines)


@contextmanager
def mock_hardware(
    node: Node, wait: Wait, urdf: str, parameters: Path, controllers: tuple[str, ...]
) -> Iterator[MockHardware]:
    """A controller_manager with active controllers and the joint_state_broadcaster."""
    running = MockHardware(node, wait, urdf, parameters)
    try:
        running.bring_up("joint_state_broadcaster", *controllers)
        yield running
    finally:
        running.close()
