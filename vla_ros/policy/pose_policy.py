"""Poses that a policy says as it was trained to, as the absolute poses that plans are made of.

Poses relative to the observation are put where the link was in the very state that the policy was
shown. Rotations are told on from row to row without jumps between equal values (q and -q, angles
beyond half a turn), so that plans can be blended element by element.

Axis letters: T rows, A action elements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.policy.protocol import Policy, PolicyRequest, PolicySpec
from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.robot.poses.pose_values import Poses, placed, read, relative_to, written
from vla_ros.robot.spec.robot import PoseSliceSpec, RobotSpec
from vla_ros.spaces.rotations import RotationForm, matrix_from

FloatArray = npt.NDArray[np.float64]


class PosePolicy:
    """A policy for a robot that is told poses. What is not said here is the policy's own.

    Args:
        policy: What answers.
        robot: The robot file, with its URDF.

    Raises:
        KinematicsError: Poses are relative to the observation, and the state does not tell where
            the link is.
    """

    def __init__(self, policy: Policy, robot: RobotSpec) -> None:
        self._policy = policy
        space = robot.action_space()
        self._slices: list[tuple[PoseSliceSpec, slice]] = []
        for part in robot.pose_slices:
            if part.relative_to != "command":  # steps are plans as they are
                first, last = (space.slice(name) for name, _, _ in part.parts)
                self._slices.append((part, slice(first.start, last.stop)))
        self._base = {
            part.name: _place_of(robot, part)
            for part, _ in self._slices
            if part.relative_to == "observed"
        }
        self._told: FloatArray | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._policy.spec

    def warm_up(self) -> None:
        """Pay all first-call costs now, before a robot waits."""
        self._policy.warm_up()

    def close(self) -> None:
        """Free what is held."""
        self._policy.close()

    def reset(self) -> None:
        """Forget everything about the run before."""
        self._told = None
        self._policy.reset()

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk.

        Returns:
            Absolute actions, SI, in the robot file's order. Shape (T, A).

        Raises:
            VlaError: It cannot answer, or a rotation in its answer is none.
        """
        state, guidance = request.observation.state, request.guidance
        if guidance is not None:
            asked = np.array(guidance.actions, dtype=np.float64)
            for part, columns in self._slices:
                poses = read(part, asked[:, columns])
                if part.name in self._base:
                    poses = relative_to(part, poses, self._base[part.name](state))
                asked[:, columns] = written(part, poses)
            request = replace(request, guidance=replace(guidance, actions=asked))
        chunk = np.array(self._policy.infer(request), dtype=np.float64)
        for part, columns in self._slices:
            poses = read(part, chunk[:, columns])
            if part.name in self._base:
                poses = placed(part, poses, self._base[part.name](state))
            turns = slice(columns.start + 3, columns.stop)
            before = None if self._told is None else self._told[turns]
            chunk[:, columns] = written(part, poses)
            chunk[:, turns] = without_jumps(part.rotation, chunk[:, turns], before)
        self._told = chunk[0]
        return chunk


def without_jumps(form: RotationForm, rows: FloatArray, before: FloatArray | None) -> FloatArray:
    """The same rotations (T, n), each told in the way that is nearest to the row before.

    Args:
        form: Of the rows.
        rows: The rotations.
        before: What the first row comes after, if anything. Shape (n,).
    """
    told = np.array(rows)
    for k, row in enumerate(rows):
        if before is not None:
            ways = _equals(form, row, before)
            told[k] = ways[int(np.argmin(np.linalg.norm(ways - before, axis=1)))]
        before = told[k]
    return told


def _equals(form: RotationForm, row: FloatArray, near: FloatArray) -> FloatArray:
    """Elements that mean the same rotation, among them the nearest to ``near``. Shape (m, n)."""
    if form == "quaternion":
        return np.stack([row, -row])
    if form == "rpy":
        other = np.array([row[0] + np.pi, np.pi - row[1], row[2] + np.pi])
        both = np.stack([row, other])
        return both + 2.0 * np.pi * np.round((near - both) / (2.0 * np.pi))
    if form == "axis_angle":
        angle = float(np.linalg.norm(row))
        axis = row / angle if angle > 1e-9 else near / max(float(np.linalg.norm(near)), 1e-9)
        turns = np.round((near @ axis - angle) / (2.0 * np.pi))
        return (angle + 2.0 * np.pi * turns) * axis[None]
    return row[None]


def _place_of(robot: RobotSpec, part: PoseSliceSpec) -> Callable[[FloatArray], Poses]:
    """Where a slice's link is, by the state vector."""
    frame, names = part.frame or robot.base_frame, robot.state_space().names
    for pose in robot.state.poses:
        elements = [name for _, _, some in pose.parts for name in some]
        fits = (pose.link, pose.frame or robot.base_frame) == (part.link, frame)
        if fits and set(elements) <= set(names):
            at = np.array([names.index(name) for name in elements], dtype=np.int64)
            form = pose.rotation
            return lambda state: Poses(state[at[:3]], matrix_from(form, state[at[3:]]))
    joints = robot.output(part.output).joints
    missing = [joint for joint in joints if joint not in names]
    if missing or robot.urdf_text is None:
        raise KinematicsError(
            f"action slice '{part.name}' is relative to the observation, but the state vector has "
            f"neither the pose of '{part.link}' in '{frame}' nor {', '.join(missing) or 'a URDF'}; "
            "add it to state.poses"
        )
    columns = np.array([names.index(joint) for joint in joints], dtype=np.int64)
    kinematics = Kinematics(robot.urdf_text, joints, frame)
    return lambda state: Poses(*kinematics.poses(state[None, columns], part.link))[0]
