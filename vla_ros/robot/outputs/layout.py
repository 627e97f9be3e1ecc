"""Where the position columns of the action vector go, and how they move."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.motion import JointMotion, TrajectoryWindow
from vla_ros.robot.outputs.chunk_motion import ChunkMotion
from vla_ros.robot.outputs.no_joints import NoJoints
from vla_ros.robot.spec.robot import OutputSpec, RobotSpec

FloatArray = npt.NDArray[np.float64]

DRIVEN = (
    *("position", "binary", "gripper", "velocity", "effort"),
    *("pose_pos", "pose_rot", "pose_step"),
)
"""Kinds of slices that some output executes."""


class OutputError(VlaError):
    """An output of the robot file that the bridge cannot drive."""


@dataclass(frozen=True, kw_only=True)
class ArmLayout:
    """Where the position columns go. They move as one group, so that all arms stay in step.

    Attributes:
        columns: Their places in the action vector. Shape (N,).
        names: Joint names, in that order.
        groups: For each controller of joint positions its output and its part of the N columns.
        latency_ns: Actuation latency of the group, the largest of its outputs, in [ns].
        whole_chunks: Whether the policy's rows go out as they are, without limits.
    """

    columns: npt.NDArray[np.int64]
    names: tuple[str, ...]
    groups: tuple[tuple[OutputSpec, slice], ...]
    latency_ns: int
    whole_chunks: bool

    @classmethod
    def of(cls, spec: RobotSpec) -> ArmLayout:
        """Read the layout from a robot file.

        Raises:
            OutputError: A slice is of a kind that cannot be driven, or only some of the position
                slices have limits.
        """
        outputs = {part.name: spec.output(part.output) for part in spec.action}
        columns: list[int] = []
        names: list[str] = []
        groups: list[tuple[OutputSpec, slice]] = []
        for part in spec.action_space().slices:
            if part.kind not in DRIVEN:
                raise OutputError(
                    f"action slice '{part.name}' is of kind {part.kind}, which no output executes; "
                    f"expected one of {', '.join(DRIVEN)}"
                )
            if part.kind == "position":
                output = outputs[part.name]
                groups.append((output, slice(len(columns), len(columns) + len(part.names))))
                columns += range(part.start, part.stop)
                names += output.joints
        unlimited = [output.name for output, _ in groups if output.limits == "none"]
        if unlimited and len(unlimited) < len(groups):
            raise OutputError(
                f"of the position outputs only {', '.join(unlimited)} are joint_trajectory_chunks; "
                "arms stay in step, so make all of them that, or none"
            )
        return cls(
            columns=np.array(columns, dtype=np.int64),
            names=tuple(names),
            groups=tuple(groups),
            latency_ns=max((output.latency_ns for output, _ in groups), default=0),
            whole_chunks=bool(unlimited),
        )

    def motion(self, spec: RobotSpec) -> JointMotion | ChunkMotion | NoJoints:
        """What moves the group."""
        if not self.names:
            return NoJoints()
        period_ns = spec.rates.control_period_ns
        if self.whole_chunks:
            return ChunkMotion(spec.motion_limits(), period_ns)
        streamed = np.zeros(len(self.names), dtype=bool)
        for output, part in self.groups:
            streamed[part] = not output.takes_windows
        return JointMotion(
            spec.motion_limits(),
            period_ns,
            smoothing_noise_rad=spec.smoothing.noise_rad,
            fade_ns=spec.fade_ns,
            streamed=streamed,
        )

    def windows(
        self, window: TrajectoryWindow, due: Collection[str]
    ) -> list[tuple[str, TrajectoryWindow]]:
        """Cut the group's window into one for each controller of ``due``, early by the latency."""
        return [
            (
                output.name,
                TrajectoryWindow(
                    t_ns=window.t_ns - self.latency_ns,
                    position=window.position[:, part],
                    velocity=window.velocity[:, part],
                    acceleration=window.acceleration[:, part],
                ),
            )
            for output, part in self.groups
            if output.takes_windows and output.name in due
        ]

    def positions(self, position: FloatArray, due: Collection[str]) -> list[tuple[str, FloatArray]]:
        """Cut the group's position (N,) into one for each controller of ``due`` streamed to."""
        return [
            (output.name, position[part])
            for output, part in self.groups
            if not output.takes_windows and output.name in due
        ]
