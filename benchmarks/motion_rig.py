"""Our bridge and a trajectory controller as processes, and what is heard of them over DDS.

The controller is ros2_control's own with mock hardware (``real``), or the simulated one (``sim``).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Run

from benchmarks.mock_hardware import mock_hardware, mock_urdf
from benchmarks.motion_loop import JOINTS, MS, Array
from benchmarks.motion_robot import controllers, robot_file, urdf
from vla_ros.cli.processes import Command, ProcessGraph
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.times import ns_from
from vla_ros.ros.domain import isolated_domain
from vla_ros.ros.task_client import GraphNotUpError, TaskClient

Controller = Literal["sim", "real"]
UPDATE_NS = 2 * MS
UP_S = 30.0
ATTEMPTS, SETTLE_S, DEPTH = 5, 0.3, 5000


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message of the bridge: when it was written (system time) and what it was."""

    written_ns: int
    message: Any

    @property
    def stamp_ns(self) -> int:
        """Of its header."""
        return ns_from(self.message.header.stamp)


class Rig:
    """Bridge, controller, and what is heard of them.

    Attributes:
        joints: Stamp in [ns] and positions of every joint state.
        followed: The same of what the controller sampled at every update.
        commanded: Every Commanded.
        windows: Every trajectory that was sent.
        status: The bridge's newest.
    """

    def __init__(self, client: TaskClient, robot: Path) -> None:
        self.client = client
        self.spec_hash = spec_hash(load_robot(robot))
        self.joints: list[tuple[int, Array]] = []
        self.followed = self.joints
        self.commanded: list[Sent] = []
        self.windows: list[Sent] = []
        self.status: BridgeStatus | None = None
        self.on_commanded: Callable[[Commanded], None] = lambda _: None
        node = client.node
        self._states = node.create_subscription(JointState, "/joint_states", self._on_joints, DEPTH)
        node.create_subscription(Commanded, "commanded", self._on_commanded, DEPTH)
        node.create_subscription(
            JointTrajectory, "/arm_controller/joint_trajectory", self._on_window, 100
        )
        node.create_subscription(
            BridgeStatus, "bridge_status", self._on_status, qos.profile("latched")
        )
        self.runs = node.create_publisher(Run, "run", qos.profile("run"))
        self.chunks = node.create_publisher(ActionChunk, "action_chunk", qos.profile("chunk"))

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Handle callbacks until something is so.

        Raises:
            GraphNotUpError: it is not in time.
        """
        if not self.client.spin_until(done, UP_S):
            raise GraphNotUpError(f"waited {UP_S:g} s for {what}")

    def home(self) -> None:
        """Lift a stop, bring the joints to zero, forget what was heard."""
        for attempt in range(ATTEMPTS):
            try:
                self.client.resume(UP_S)
                self.client.spin_until(lambda: False, SETTLE_S)
                self.client.go_to("home", UP_S)
                break
            except GraphNotUpError:  # stopped again, or still settling
                if attempt == ATTEMPTS - 1:
                    raise
        self.joints.clear()
        self.followed.clear()
        self.commanded.clear()
        self.windows.clear()
        self.wait(lambda: bool(self.joints and self.commanded), "joint states and commands")

    def path(self, t0_ns: int, end_ns: int) -> tuple[Array, Array, int]:
        """What the controller followed, but for late updates.

        ros2_control measures a period before it reads the time that an update is stamped with.
        Where the computer holds it up in between, the update shows where the robot was to be before
        the pause, and the next one catches up: the controller's doing, and not the bridge's.

        Returns:
            Seconds after `t0_ns`, shape (n,); positions, shape (n, N); how many were late.
        """
        stamps = np.array([t for t, _ in self.followed], dtype=np.int64)
        position = np.array([p for _, p in self.followed])
        period = np.diff(stamps, prepend=stamps[0] - UPDATE_NS)
        inside = (stamps >= t0_ns) & (stamps <= end_ns) & (period > UPDATE_NS // 4)
        late = inside & (period > 2 * UPDATE_NS)
        good = inside & ~late
        return (
            np.asarray((stamps[good] - t0_ns) * 1e-9, np.float64),
            position[good],
            int(late.sum()),
        )

    def listen(self) -> None:
        """To what ros2_control's controller reads and follows, as it says at every update.

        Joint states show the same a period later, but a broadcaster may leave some out, and then
        nobody knows which period it was. They are not listened to: it would cost as much again.
        """
        from control_msgs.msg import JointTrajectoryControllerState

        self.followed = []

        def on_state(message: Any) -> None:
            stamp_ns = ns_from(message.header.stamp)
            followed = np.asarray(message.reference.positions, dtype=np.float64)
            self.followed.append((stamp_ns, followed))
            read = np.asarray(message.feedback.positions, dtype=np.float64)
            self.joints.append((stamp_ns, read))

        node = self.client.node
        node.destroy_subscription(self._states)
        node.create_subscription(
            JointTrajectoryControllerState, "/arm_controller/controller_state", on_state, DEPTH
        )

    def _on_joints(self, message: JointState) -> None:
        index = [message.name.index(name) for name in JOINTS]
        position = np.asarray(message.position, dtype=np.float64)[index]
        self.joints.append((ns_from(message.header.stamp), position))

    def _on_commanded(self, message: Commanded, info: dict[str, int]) -> None:
        self.commanded.append(Sent(written_ns=info["source_timestamp"], message=message))
        self.on_commanded(message)

    def _on_window(self, message: JointTrajectory, info: dict[str, int]) -> None:
        self.windows.append(Sent(written_ns=info["source_timestamp"], message=message))

    def _on_status(self, message: BridgeStatus) -> None:
        self.status = message


@contextmanager
def motion_rig(controller: Controller, realtime_priority: int = 0) -> Iterator[Rig]:
    """Bridge and controller, up, in a domain of their own; the bridge with this priority."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ.update(stack.enter_context(isolated_domain()))
        robot = folder / "robot.yaml"
        robot.write_text(yaml.safe_dump(robot_file()), encoding="utf-8")
        client = stack.enter_context(TaskClient())
        rig = Rig(client, robot)
        if controller == "real":
            parameters = folder / "controllers.yaml"
            parameters.write_text(yaml.safe_dump(controllers()), encoding="utf-8")
            described = mock_urdf(urdf(), dict.fromkeys(JOINTS, (0.0, 0.0)))
            stack.enter_context(
                mock_hardware(client.node, rig.wait, described, parameters, ("arm_controller",))
            )
            rig.listen()
        else:
            stack.enter_context(_process("controller", "benchmarks.controller_process", *JOINTS))
        words = ("--ros-args", "-p", f"robot:={robot}", "-p", "start_enabled:=true")
        words += ("-p", f"realtime_priority:={realtime_priority}")
        stack.enter_context(_process("control_bridge", "vla_ros.nodes.control_bridge", *words))
        rig.wait(lambda: bool(rig.commanded) and rig.status is not None, "the bridge's commands")
        yield rig


def _process(label: str, module: str, *arguments: str) -> ProcessGraph:
    argv = (sys.executable, "-m", module, *arguments)
    command = Command(label=label, argv=argv, environment={}, required=False)
    return ProcessGraph([command], lambda name, line: print(f"[{name}] {line}", file=sys.stderr))
