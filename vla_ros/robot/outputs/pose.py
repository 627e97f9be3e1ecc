"""Poses behind one controller that finds the joints by itself: MoveIt Servo, Cartesian controllers.

Where the link is measured to be is told by its joints, through the URDF.

Axis letters: A elements of the action vector, D joints that move the link.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Plan
from vla_ros.motion import MotionRefused
from vla_ros.robot.outputs.pose_motion import Bound, PoseMotion, PosePath, apart, moved
from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.robot.poses.pose_values import (
    PoseError,
    Poses,
    path_of_steps,
    read,
    steps_of_path,
    written,
)
from vla_ros.robot.spec.outputs import POSE_BOUNDS
from vla_ros.robot.spec.robot import JointLimits, OutputSpec, PoseSliceSpec, RobotSpec
from vla_ros.spaces.rotations import quaternion_from_matrix

FloatArray = npt.NDArray[np.float64]

HISTORY_NS = 1_000_000_000


class PoseOutput:
    """One slice of poses, executed by `PoseMotion`.

    Args:
        spec: The output.
        part: The slice.
        columns: Its part of the action vector.
        robot: The robot file, with its URDF.

    Attributes:
        spec: As given.
        part: As given.
        columns: As given.
        joints: Joints that tell where the link is.
        sends: Whether there is anything to send; always.

    Raises:
        KinematicsError: A joint or link is not in the URDF, the link is moved by other joints, or
            the slice's frame is.
    """

    sends = True

    def __init__(
        self, spec: OutputSpec, part: PoseSliceSpec, columns: slice, robot: RobotSpec
    ) -> None:
        if robot.urdf_text is None:
            raise KinematicsError("poses as actions need the robot's URDF; name it under urdf")
        self.spec = spec
        self.part = part
        self.columns = columns
        self.joints = spec.joints
        self._frame = part.frame or robot.base_frame
        self._kinematics = Kinematics(robot.urdf_text, spec.joints, self._frame)
        ways = set(self._kinematics.moving(part.link)) ^ set(self._kinematics.moving(self._frame))
        if ways != set(spec.joints):
            by = ", ".join(sorted(ways)) or "nothing"
            raise KinematicsError(
                f"'{part.link}' is moved in '{self._frame}' by {by}, expected the joints of output "
                f"'{spec.name}': {', '.join(spec.joints)}"
            )
        linear, angular = (_bound(spec.axis_limits[name]) for name in POSE_BOUNDS)
        self._motion = PoseMotion(linear, angular, robot.rates.control_period_ns)
        self._max_first_step = robot.max_first_step
        self._next: Plan | None = None
        self._dt_s = 0.0
        self._quaternion = np.array([0.0, 0.0, 0.0, 1.0])
        self._commanded: deque[tuple[int, Poses]] = deque()

    @property
    def at_rest(self) -> bool:
        """Whether it is commanded to stand still."""
        return self._next is None and self._motion.at_rest

    @property
    def values(self) -> FloatArray:
        """What is sent: position, quaternion (x, y, z, w) without jumps of sign. Shape (7,)."""
        return np.concatenate([self._motion.pose.position, self._quaternion])

    @property
    def action(self) -> FloatArray:
        """What is commanded, as the slice says it: the pose, or the step that it makes in a row."""
        pose = self._motion.pose
        if self.part.relative_to != "command":
            return written(self.part, pose)
        pair = moved(pose, self._motion.speed[:, None] * np.array([[0.0], [self._dt_s]]))
        return written(self.part, steps_of_path(self.part, pair))[0]

    @property
    def reference(self) -> FloatArray | None:
        """What the plan asks for now, told as `action` is; None where its row tells."""
        if self.part.relative_to == "command":
            return None
        return written(self.part, self._motion.reference(self._commanded[-1][0]))

    def measured(self, position: FloatArray) -> Poses:
        """Where the link is for joint positions (D,)."""
        return Poses(*self._kinematics.poses(position[None], self.part.link))[0]

    def astray(self, position: FloatArray, stamp_ns: int) -> tuple[float, str]:
        """How far the link is from where it was commanded, the larger of [m] and [rad], in words.

        Args:
            position: Measured. Shape (D,).
            stamp_ns: When, in [ns].
        """
        there = next((pose for t, pose in reversed(self._commanded) if t <= stamp_ns), None)
        if there is None:
            return 0.0, ""
        way, turn = np.linalg.norm(apart(there, self.measured(position)), axis=1)
        return float(max(way, turn)), (
            f"'{self.part.link}' is {way:.3f} m and {turn:.3f} rad away from where it was sent"
        )

    def reset(self, now_ns: int, position: FloatArray) -> None:
        """Stand still at once: where joint positions (D,) say, or without any (0,) where it is."""
        self._next = None
        self._motion.reset(self.measured(position) if len(position) else self._motion.pose)
        self._commanded.clear()
        self._note(now_ns)

    def accept(self, plan: Plan, now_ns: int) -> None:
        """Execute a plan, early by the output's latency.

        Raises:
            MotionRefused: It is no plan of poses, too fast, or begins too far away.
        """
        path = self._path(plan, now_ns)
        begin_ns = max(path.due.begin_ns, now_ns)
        away = apart(self._motion.pose, path.at([begin_ns])[0])
        way, turn = np.linalg.norm(away, axis=1)
        if max(way, turn) > self._max_first_step:
            raise MotionRefused(
                f"'{self.part.link}' would first move by {way:.3f} m and {turn:.3f} rad, expected "
                f"at most max_first_step = {self._max_first_step:.3f}. Check units, frame and "
                "statistics of the policy, or move to its start pose first."
            )
        self._next = plan

    def stop(self, now_ns: int) -> None:
        """Brake within the limits."""
        self._next = None
        self._motion.stop()

    def advance(self, now_ns: int) -> None:
        """Go on by one control period."""
        plan = self._next
        if plan is not None and now_ns >= self._begin_ns(plan):
            # Steps lead on from where the link is commanded to be now.
            self._next, self._dt_s = None, plan.dt_ns * 1e-9
            try:
                self._motion.follow(self._path(plan, now_ns))
            except MotionRefused:  # all of its rows are past by now
                self._motion.stop()
        self._motion.advance(now_ns)
        self._note(now_ns)

    def breach(self, position: FloatArray) -> str:
        """Nothing: only its workspace bounds a pose."""
        return ""

    def brake_path(self, now_ns: int) -> Poses:
        """Poses from the next on, should it be stopped in the period after. Shape (n,)."""
        return self._motion.brake_path(now_ns)

    def _begin_ns(self, plan: Plan) -> int:
        return max(plan.valid_from_ns, plan.start_ns) - self.spec.latency_ns

    def _path(self, plan: Plan, now_ns: int) -> PosePath:
        """The plan as a path of absolute poses."""
        start_ns = plan.start_ns - self.spec.latency_ns
        begin_ns = self._begin_ns(plan)
        try:
            poses = read(self.part, plan.actions[:, self.columns])
        except PoseError as error:
            raise MotionRefused(str(error)) from None
        if self.part.relative_to == "command":
            half = 0.5 if plan.interpolation == "hold" else 0.0
            row = (max(begin_ns, now_ns) - start_ns) / plan.dt_ns - half
            poses = path_of_steps(self.part, poses, row, self._motion.pose)
        return self._motion.path(poses, start_ns, plan.dt_ns, begin_ns, plan.interpolation, now_ns)

    def _note(self, now_ns: int) -> None:
        """What is commanded now: for `astray`, and as the quaternion that is nearer to the last."""
        self._commanded.append((now_ns, self._motion.pose))
        while self._commanded[0][0] < now_ns - HISTORY_NS:
            self._commanded.popleft()
        q = quaternion_from_matrix(self._motion.pose.rotation)
        self._quaternion = q if q @ self._quaternion >= 0.0 else -q


def _bound(limits: JointLimits) -> Bound:
    assert limits.velocity is not None  # the spec has seen to both
    assert limits.acceleration is not None
    return Bound(velocity=limits.velocity, acceleration=limits.acceleration)


def pose_outputs_of(spec: RobotSpec) -> tuple[PoseOutput, ...]:
    """One output for each slice of poses whose output takes poses.

    Raises:
        KinematicsError: See `PoseOutput`.
    """
    space, made = spec.action_space(), []
    for part in spec.pose_slices:
        output = spec.output(part.output)
        if output.is_pose:
            first, last = (space.slice(name) for name, _, _ in part.parts)
            columns = slice(first.start, last.stop)
            made.append(PoseOutput(output, part, columns, spec))
    return tuple(made)
