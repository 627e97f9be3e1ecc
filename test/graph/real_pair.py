"""A real trajectory controller over two joints whose state is one, whatever they are commanded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from controller_cases import MEASURED, NAMES, message
from followed import Reference
from stage import Stage, stage
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from benchmarks.mock_hardware import mock_hardware, mock_urdf
from vla_ros.ros import qos
from vla_ros.ros.conversions.arrays import packed
from vla_ros.ros.conversions.times import duration_msg, time_msg
from vla_ros.sim.controllers import TrajectoryMessage

TWO_JOINTS = """<robot name="two"><link name="base"/><link name="one"/><link name="two"/>
<joint name="a" type="continuous"><parent link="base"/><child link="one"/></joint>
<joint name="b" type="continuous"><parent link="one"/><child link="two"/></joint>
</robot>"""
TWO_JOINT_CONTROLLERS = """
controller_manager:
  ros__parameters:
    update_rate: 500
    joint_state_broadcaster: {type: joint_state_broadcaster/JointStateBroadcaster}
    pair: {type: joint_trajectory_controller/JointTrajectoryController}
pair:
  ros__parameters:
    joints: [a, b]
    command_interfaces: [position]
    state_interfaces: [position, velocity]
"""


class Pair:
    """Two joints that report one state whatever they are commanded, as in the table."""

    def __init__(self, on: Stage) -> None:
        self.stage = on
        self.reference = Reference(on, "pair")
        self._commands = on.node.create_publisher(
            JointTrajectory, "/pair/joint_trajectory", qos.profile("command")
        )

    def now_ns(self) -> int:
        return int(self.stage.node.get_clock().now().nanoseconds)

    def until(self, t_ns: int) -> None:
        """Let time pass."""
        self.stage.wait(lambda: self.now_ns() >= t_ns, "time to pass")

    def heard(self, t_ns: int) -> None:
        """Hear everything up to an instant."""
        self.stage.wait(
            lambda: bool(self.reference.t_ns) and self.reference.t_ns[-1] >= t_ns,
            "the controller's state",
        )

    def send(self, content: TrajectoryMessage) -> None:
        rows = len(content.time_from_start_ns)
        self._commands.publish(
            JointTrajectory(
                header=Header(stamp=time_msg(content.stamp_ns)),
                joint_names=list(content.joint_names),
                points=[
                    JointTrajectoryPoint(
                        time_from_start=duration_msg(int(content.time_from_start_ns[k])),
                        **{
                            name: packed(values[k], "d")
                            for name in ("positions", "velocities", "accelerations")
                            if (values := getattr(content, name)) is not None
                        },
                    )
                    for k in range(rows)
                ],
            )
        )

    def hold_as_in_the_table(self) -> None:
        """At 0.1 and -0.1; from elsewhere, so that it is seen when the controller obeys."""
        self._hold(0.11)
        self._hold(0.1)

    def _hold(self, place: float) -> None:
        self.send(message(0, [20], [place]))

        def there() -> bool:
            positions = self.reference.position
            return bool(positions) and np.array_equal(positions[-1], [place, -place])

        self.stage.wait(there, "the controller to hold")


@contextmanager
def real_pair(folder: Path) -> Iterator[Pair]:
    """The two joints and their controller, up; its parameters lie in the folder."""
    parameters = folder / "controllers.yaml"
    parameters.write_text(TWO_JOINT_CONTROLLERS, encoding="utf-8")
    states = zip(MEASURED.position, MEASURED.velocity, strict=True)
    with stage() as on:
        made = Pair(on)
        described = dict(zip(NAMES, states, strict=True))
        urdf = mock_urdf(TWO_JOINTS, described, disable_commands="true")
        with mock_hardware(on.node, on.wait, urdf, parameters, ("pair",)):
            on.wait(lambda: bool(made.reference.t_ns), "the controller's state")
            yield made
