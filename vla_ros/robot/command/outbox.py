"""What goes out in a control period: each output at its own rate, a gripper on change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from vla_ros.motion import JointMotion, TrajectoryWindow
from vla_ros.motion.slider import Slider
from vla_ros.robot.command.pace import Pace
from vla_ros.robot.command.streams import Streams
from vla_ros.robot.outputs.chunk_motion import ChunkMotion
from vla_ros.robot.outputs.gripper import GripperOutput
from vla_ros.robot.outputs.layout import ArmLayout
from vla_ros.robot.outputs.no_joints import NoJoints
from vla_ros.robot.spec.pose import joint_slice
from vla_ros.robot.spec.robot import RobotSpec

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Due:
    """What is due to each output now, by its name; see `Commands`."""

    windows: list[tuple[str, TrajectoryWindow]] = field(default_factory=list)
    values: list[tuple[str, FloatArray]] = field(default_factory=list)
    grips: list[tuple[str, float]] = field(default_factory=list)


class Outbox:
    """Decides what to send, and when.

    Args:
        spec: The robot file.
        arm: Where the position columns go.
        motion: Of the arm.
        grippers: One for each gripper slice.
        streams: What is streamed beside.
        slider: The arm's time.
    """

    def __init__(
        self,
        spec: RobotSpec,
        arm: ArmLayout,
        motion: JointMotion | ChunkMotion | NoJoints,
        grippers: tuple[GripperOutput, ...],
        streams: Streams,
        slider: Slider,
    ) -> None:
        self._rates = spec.rates
        self._arm = arm
        self._motion = motion
        self._grippers = grippers
        self._streams = streams
        self._slider = slider
        self._handed_ns = 0
        self._paces: dict[str, Pace] = {}
        for part in spec.action:
            output = spec.output(part.output)
            kind = joint_slice(part, output).kind
            hz = output.due_hz(kind, spec.rates.control_hz, spec.rates.window_hz)
            self._paces[output.name] = Pace(round(spec.rates.control_hz / hz))

    def hurry(self) -> None:
        """What was sent is out of date: everything is due at once."""
        self._hurry(self._paces)

    def hurry_arm(self) -> None:
        """The arm's trajectories are due at once."""
        self._hurry([output.name for output, _ in self._arm.groups])

    def _hurry(self, names: Collection[str]) -> None:
        self._handed_ns = 0
        for name in names:
            self._paces[name].hurry()

    def due(self, position: FloatArray, now_ns: int) -> Due:
        """What to send now.

        Args:
            position: Commanded, of the arm. Shape (N,).
            now_ns: ROS time, in [ns].
        """
        due = Due()
        names = {name for name, pace in self._paces.items() if pace.tick()}
        if not self._spared(now_ns):
            due.windows.extend(self._windows(now_ns, names))
        due.values.extend(self._arm.positions(position, names))
        due.values.extend(self._streams.values(names))
        for gripper in self._grippers:
            if gripper.due and gripper.spec.name in names:
                self._grip(gripper, due, now_ns)
        for name in (*dict(due.windows), *dict(due.values), *dict(due.grips)):
            self._paces[name].sent()
        return due

    def preview(self, now_ns: int) -> Due:
        """The arm's trajectories with what was just accepted, ahead of their turn."""
        return Due(windows=self._windows(now_ns, self._paces))

    def _spared(self, now_ns: int) -> bool:
        """Whether a slow arm has enough in hand: each window makes its controller's time jump by
        the part of the way there that it has not passed.
        """
        left_ns = self._handed_ns - self._slider.ahead(now_ns)
        return self._slider.factor < 1.0 and left_ns > self._rates.lookahead_ns // 2

    def _windows(self, now_ns: int, names: Collection[str]) -> list[tuple[str, TrajectoryWindow]]:
        groups = self._arm.groups
        if not any(output.takes_windows and output.name in names for output, _ in groups):
            return []
        rates, ahead_ns = self._rates, self._slider.ahead(now_ns)
        whole = self._motion.window(ahead_ns, rates.lookahead_ns, rates.spacing_ns)
        if whole is None:
            return []
        self._handed_ns = ahead_ns + rates.lookahead_ns
        whole = replace(whole, t_ns=whole.t_ns + self._slider.behind_ns(now_ns))
        return self._arm.windows(whole, names)

    def _grip(self, gripper: GripperOutput, due: Due, now_ns: int) -> None:
        name, position = gripper.spec.name, gripper.take()
        if gripper.spec.takes_windows:
            due.windows.append((name, gripper.window(position, now_ns)))
        elif gripper.spec.is_action:
            due.grips.append((name, position))
        else:
            due.values.append((name, np.array([position])))
