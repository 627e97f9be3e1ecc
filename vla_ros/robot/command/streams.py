"""What is streamed beside the arm's trajectories: velocities, efforts, poses of links."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Plan
from vla_ros.motion import MotionRefused
from vla_ros.robot.outputs.effort import EffortOutput, effort_outputs_of
from vla_ros.robot.outputs.pose import PoseOutput, pose_outputs_of
from vla_ros.robot.outputs.velocity import VelocityOutput, velocity_outputs_of
from vla_ros.robot.poses.pose_values import Poses
from vla_ros.robot.spec.pose import PoseSliceSpec
from vla_ros.robot.spec.robot import RobotSpec

FloatArray = npt.NDArray[np.float64]


class Streams:
    """All of them, as one.

    Args:
        spec: The robot file.

    Raises:
        KinematicsError: It has an output of poses that its URDF does not fit.
    """

    def __init__(self, spec: RobotSpec) -> None:
        self._poses = pose_outputs_of(spec)
        self._all: list[VelocityOutput | EffortOutput | PoseOutput] = [
            *velocity_outputs_of(spec),
            *effort_outputs_of(spec),
            *self._poses,
        ]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._all)

    @property
    def at_rest(self) -> bool:
        """Whether all are commanded to stand still."""
        return all(stream.at_rest for stream in self._all)

    @property
    def joints(self) -> tuple[str, ...]:
        """Joints commanded by velocity or effort, or moved to where a link is commanded."""
        return tuple(joint for stream in self._all for joint in stream.joints)

    def reset(self, now_ns: int, position: FloatArray | None = None) -> None:
        """Stand still at once.

        Args:
            now_ns: ROS time, in [ns].
            position: Measured, of `joints`. Shape (M,). Without it a link commanded by its pose is
                held where it is commanded.
        """
        for stream, joints in self._parts(np.zeros(0) if position is None else position):
            stream.reset(now_ns, joints)

    def accept(self, plan: Plan, now_ns: int) -> None:
        """Execute a plan.

        Raises:
            MotionRefused: One of them cannot; those before it stop.
        """
        for count, stream in enumerate(self._all):
            try:
                stream.accept(plan, now_ns)
            except MotionRefused:
                self.stop(now_ns, count)
                raise

    def stop(self, now_ns: int, count: int | None = None) -> None:
        """Brake within the limits; the first ``count`` of them, by default all."""
        for stream in self._all[:count]:
            stream.stop(now_ns)

    def advance(self, now_ns: int) -> None:
        """Go on by one control period."""
        for stream in self._all:
            stream.advance(now_ns)

    def values(self, names: Collection[str] | None = None) -> list[tuple[str, FloatArray]]:
        """What to send to the outputs of these names, by default to all."""
        return [
            (stream.spec.name, stream.values)
            for stream in self._all
            if stream.sends and (names is None or stream.spec.name in names)
        ]

    def write(self, action: FloatArray) -> None:
        """Put what is commanded into an action. Shape (A,)."""
        for stream in self._all:
            action[stream.columns] = stream.action

    def write_reference(self, reference: FloatArray) -> None:
        """Put what the plan asks for into an action, where its row does not tell. Shape (A,)."""
        for pose in self._poses:
            asked = pose.reference
            if asked is not None:
                reference[pose.columns] = asked

    def breach(self, position: FloatArray) -> str:
        """Which of `joints` would leave its range, else empty. Shape (M,)."""
        texts = (stream.breach(joints) for stream, joints in self._parts(position))
        return next(filter(None, texts), "")

    def astray(self, position: FloatArray, stamp_ns: int) -> tuple[float, str]:
        """How far a link is from where it was commanded, in [m] or [rad], and in words.

        Args:
            position: Measured, of `joints`. Shape (M,).
            stamp_ns: When, in [ns].
        """
        found = [
            stream.astray(joints, stamp_ns)
            for stream, joints in self._parts(position)
            if isinstance(stream, PoseOutput)
        ]
        return max(found, default=(0.0, ""))

    def brake_poses(self, now_ns: int) -> list[tuple[PoseSliceSpec, Poses]]:
        """Where the links go that are commanded themselves, should all be stopped; n poses each."""
        return [(output.part, output.brake_path(now_ns)) for output in self._poses]

    def _parts(
        self, position: FloatArray
    ) -> Iterator[tuple[VelocityOutput | EffortOutput | PoseOutput, FloatArray]]:
        """Each stream and its part of the positions of `joints`."""
        at = 0
        for stream in self._all:
            yield stream, position[at : at + len(stream.joints)]
            at += len(stream.joints)
