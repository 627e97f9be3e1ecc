"""Plans of poses, executed as plans of joint positions.

When a plan is accepted, the poses that it asks for are turned into joint rows, starting from the
joints that will be commanded when it begins. From there on everything is as with a plan of
joints. A row that a link would miss ends the plan: the robot comes to rest before it.

Axis letters: T rows, A elements of the robot's action, N joints commanded by position.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Plan
from vla_ros.motion import JointMotion, MotionRefused
from vla_ros.robot.command.commands import CommandedSample, Mode
from vla_ros.robot.command.execution import Execution
from vla_ros.robot.outputs.layout import OutputError
from vla_ros.robot.poses.inverse_kinematics import InverseKinematics, JointPath
from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.robot.poses.pose_values import (
    PoseError,
    Poses,
    path_of_steps,
    read,
    steps_of_path,
    written,
)
from vla_ros.robot.spec.robot import PoseSliceSpec, RobotSpec

FloatArray = npt.NDArray[np.float64]
_Scalar = TypeVar("_Scalar", np.float64, np.uint8)


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseColumns:
    """One slice of poses and the joints that bring its link there.

    Attributes:
        part: The slice.
        columns: Its elements of the robot's action.
        joints: Its joints among the N.
        kinematics: Of these joints, in the slice's frame.
        solver: Finds them.
    """

    part: PoseSliceSpec
    columns: slice
    joints: slice
    kinematics: Kinematics
    solver: InverseKinematics

    def poses(self, q: FloatArray) -> Poses:
        """Where the link is for joint positions (T, N)."""
        return Poses(*self.kinematics.poses(q[:, self.joints], self.part.link))

    def asked(self, actions: FloatArray, row: float, q: FloatArray) -> Poses:
        """The absolute poses that actions (T, A) ask for.

        Args:
            actions: Of a plan.
            row: Fractional row at which it begins.
            q: Joint positions (N,) that will be commanded then.
        """
        poses = read(self.part, actions[:, self.columns])
        if self.part.relative_to != "command":
            return poses
        return path_of_steps(self.part, poses, row, self.poses(q[None])[0])

    def follow(self, poses: Poses, start: FloatArray, dt_s: float) -> JointPath:
        """Joints for poses, from joint positions of this slice on."""
        return self.solver.follow(
            poses.position,
            poses.rotation,
            start,
            dt_s,
            tolerance_m=self.part.tolerance_m,
            tolerance_rad=self.part.tolerance_rad,
        )

    def missed(self, path: JointPath, row: int) -> str:
        """Why a path ends before ``row``, in words."""
        return (
            f"'{self.part.link}' would miss row {row} by {path.position_error:.4f} m and "
            f"{path.rotation_error:.4f} rad, expected at most {self.part.tolerance_m} m and "
            f"{self.part.tolerance_rad} rad: it is out of reach, beyond a joint's limit or too far "
            "from the row before; check the slice's frame, link and rotation, or lead the robot "
            "elsewhere"
        )


def pose_columns_of(spec: RobotSpec) -> tuple[PoseColumns, ...]:
    """The pose slices of a robot.

    Raises:
        KinematicsError: There is no URDF, a joint or link is not in it, or the joints do not
            decide the pose.
    """
    if spec.solved_slices and spec.urdf_text is None:
        raise KinematicsError("poses as actions need the robot's URDF; name it under urdf")
    joints = spec.in_joints()
    order = joints.motion_limits().names
    found = []
    for part in spec.solved_slices:
        columns = [spec.action_space().slice(name) for name, _, _ in part.parts]
        names = spec.output(part.output).joints
        first = order.index(names[0])
        frame = part.frame or spec.base_frame
        kinematics = Kinematics(str(spec.urdf_text), names, frame)
        limits = joints.motion_limits(names)
        low, high = np.maximum(limits.lower, -np.pi), np.minimum(limits.upper, np.pi)
        named = spec.poses[part.posture] if part.posture else {}
        posture = [
            named.get(joint, middle)
            for joint, middle in zip(names, (low + high) / 2.0, strict=True)
        ]
        found.append(
            PoseColumns(
                part=part,
                columns=slice(columns[0].start, columns[1].stop),
                joints=slice(first, first + len(names)),
                kinematics=kinematics,
                solver=InverseKinematics(
                    kinematics, part.link, frame, limits, np.array(posture, dtype=np.float64)
                ),
            )
        )
    return tuple(found)


class PoseExecution(Execution):
    """Executes plans of poses on the outputs of one robot.

    Args:
        spec: The robot file.
        spec_hash: Its hash, for the samples.

    Raises:
        KinematicsError: See `pose_columns_of`.
        OutputError: The robot file has an output that cannot be driven.
    """

    def __init__(self, spec: RobotSpec, spec_hash: int) -> None:
        inner = spec.in_joints()
        super().__init__(inner, spec_hash)
        if not isinstance(self._motion, JointMotion):
            raise OutputError(
                "poses need limited motion; use joint_trajectory instead of joint_trajectory_chunks"
            )
        self._positions = self._motion
        self._poses = pose_columns_of(spec)
        ours, theirs = spec.action_space(), inner.action_space()
        self._dim = ours.dim
        told = {name for part in spec.solved_slices for name, _, _ in part.parts}
        same = [part for part in ours.slices if part.name not in told]
        self._ours, self._theirs = (
            np.array([i for s in slices for i in range(s.start, s.stop)], dtype=np.int64)
            for slices in (same, [theirs.slice(part.name) for part in same])
        )
        self._joint_dim = theirs.dim
        self._turned: tuple[Plan, int, Plan] | None = None

    def sample(self, mode: Mode, epoch: int, measured: FloatArray) -> CommandedSample:
        """As for joints; a link's pose is what the commanded joints amount to."""
        sample, setpoint = super().sample(mode, epoch, measured), self.setpoint
        assert setpoint is not None  # the commander is active
        action, reference = self._spread(sample.action), self._spread(sample.reference)
        limited = self._spread(sample.limited)
        plan = self.executing
        ahead = 0.0 if plan is None else plan.dt_ns * 1e-9
        joints = np.stack(
            [setpoint.position, setpoint.reference, setpoint.position + ahead * setpoint.velocity]
        )
        for pose in self._poses:
            there, columns = pose.poses(joints), pose.columns
            if pose.part.relative_to == "command":
                step = steps_of_path(pose.part, Poses(there.position[::2], there.rotation[::2]))
                action[columns] = reference[columns] = written(pose.part, step)[0]
            else:
                action[columns], reference[columns] = written(pose.part, there[:2])
            limited[columns] = np.bitwise_or.reduce(setpoint.limited[pose.joints])
        action.setflags(write=False)
        reference.setflags(write=False)
        limited.setflags(write=False)
        return replace(
            sample,
            action=action,
            reference=reference,
            limited=limited,
            deviation=float(np.abs(action - reference).max(initial=0.0)),
        )

    def _spread(self, values: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
        """Elements of the joints' action in the places of the robot's. Shape (A,)."""
        spread = np.zeros(self._dim, dtype=values.dtype)
        spread[self._ours] = values[self._theirs]
        return spread

    def _executable(self, plan: Plan, now_ns: int) -> Plan:
        """The plan in joints, up to the first row that a link would miss.

        Raises:
            MotionRefused: That is the row at which the plan begins, or some elements are no pose.
        """
        if self._turned is None or self._turned[:2] != (plan, now_ns):
            timed = super()._executable(plan, now_ns)
            self._turned = (plan, now_ns, self._turn(timed, now_ns))
        return self._turned[2]

    def _turn(self, plan: Plan, now_ns: int) -> Plan:
        begin_ns = self._switch_ns(plan, now_ns)
        q = self._positions.position_at(begin_ns)
        row = plan.row_at(begin_ns) - (0.5 if plan.interpolation == "hold" else 0.0)
        first = int(np.clip(row, 0.0, plan.horizon - 1))
        actions = np.zeros((plan.horizon, self._joint_dim))
        actions[:, self._theirs] = plan.actions[:, self._ours]
        end, self.remark = plan.horizon, ""
        for pose in self._poses:
            try:
                poses = pose.asked(plan.actions, row, q)
            except PoseError as error:
                raise MotionRefused(str(error)) from None
            dt_s, columns = plan.dt_ns * 1e-9, self.arm.columns[pose.joints]
            path = pose.follow(poses[first:], q[pose.joints], dt_s)
            missed = first + len(path.rows)
            if missed < plan.horizon and missed <= row + 1.0:
                raise MotionRefused(pose.missed(path, missed))
            if missed < end:
                end = missed
                self.remark = f"chunk {plan.seq} is cut: {pose.missed(path, missed)}"
            actions[first:missed, columns] = path.rows
            # Rows that are past shape the curve through the next ones, nothing else.
            back = pose.follow(poses[: first + 1][::-1], path.rows[0], dt_s).rows[1:]
            actions[first - len(back) : first, columns] = back[::-1]
            actions[: first - len(back), columns] = (back[-1:] if len(back) else path.rows)[0]
        return replace(plan, actions=actions[:end])
