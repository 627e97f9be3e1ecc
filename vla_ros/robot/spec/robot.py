"""The robot file as typed values: cameras, state, actions, outputs, limits and named poses.

Everything here is read from a file by ``vla_ros.robot.load``; unknown keys are errors. Times are
float seconds in the file and integer nanoseconds in the properties.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, PrivateAttr, model_validator

from vla_ros.robot.spec.base import Finite, Name, NonNegative, Positive, Strict, to_ns
from vla_ros.robot.spec.outputs import (
    TWIST_AXES,
    ActionSliceSpec,
    JointLimits,
    OutputSpec,
    rate_problems,
    slice_problems,
)
from vla_ros.robot.spec.pose import PoseSliceSpec, joint_slice, parts_of
from vla_ros.robot.spec.safety import EStopSpec, OwnersSpec, WatchdogSpec
from vla_ros.robot.spec.speed_scaling import SpeedScalingSpec
from vla_ros.robot.spec.state import Part, StateSpec
from vla_ros.robot.spec.streams import CameraSpec
from vla_ros.robot.spec.workspace import WorkspaceSpec
from vla_ros.spaces import STATE_ANCHOR, VectorSpace

if TYPE_CHECKING:
    from vla_ros.motion import MotionLimits

__all__ = [
    "TWIST_AXES",
    "ActionSliceSpec",
    "CameraSpec",
    "EStopSpec",
    "JointLimits",
    "OutputSpec",
    "OwnersSpec",
    "PoseSliceSpec",
    "RatesSpec",
    "RobotSpec",
    "SmoothingSpec",
    "StateSpec",
    "WatchdogSpec",
    "WorkspaceSpec",
    "spec_hash",
]


class RatesSpec(Strict):
    """Periods of the control bridge and the shape of a trajectory window."""

    control_hz: Positive = 100.0
    window_hz: Positive = 33.3
    lookahead_s: Positive = 0.25
    spacing_s: Positive = 0.02

    @property
    def control_period_ns(self) -> int:
        """Time between control ticks."""
        return to_ns(1.0 / self.control_hz)

    @property
    def lookahead_ns(self) -> int:
        """How far a window reaches beyond now, before its brake tail."""
        return to_ns(self.lookahead_s)

    @property
    def spacing_ns(self) -> int:
        """Time between the points of a window."""
        return to_ns(self.spacing_s)


class SmoothingSpec(Strict):
    """Minimum-jerk smoothing of plans: the noise [rad or m] to remove; 0 switches it off."""

    noise_rad: NonNegative = 0.0


_Slice = Annotated[ActionSliceSpec | PoseSliceSpec, Field(discriminator="kind")]


class RobotSpec(Strict):
    """One robot, as its file and URDF describe it."""

    name: Name
    urdf: str | None = None
    base_frame: Name
    anchor: Name
    cameras: tuple[CameraSpec, ...] = ()
    state: StateSpec
    action: Annotated[tuple[_Slice, ...], Field(min_length=1)]
    outputs: Annotated[tuple[OutputSpec, ...], Field(min_length=1)]
    limits: dict[Name, JointLimits] = Field(default_factory=dict)
    rates: RatesSpec = RatesSpec()
    smoothing: SmoothingSpec = SmoothingSpec()
    fade_s: Positive = 0.15
    max_observation_age_s: Positive = 0.5
    max_first_step: Positive
    max_tracking_error: Positive
    watchdogs: WatchdogSpec = WatchdogSpec()
    estop: EStopSpec | None = None
    speed_scaling: SpeedScalingSpec | None = None
    owners: OwnersSpec = OwnersSpec()
    workspace: WorkspaceSpec | None = None
    poses: dict[Name, dict[Name, Finite]] = Field(default_factory=dict)

    _urdf_text: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _consistent(self) -> RobotSpec:
        problems = [
            *_repeats("camera key", [camera.key for camera in self.cameras]),
            *_repeats("output", [output.name for output in self.outputs]),
            *_repeats("action slice", [part.name for part in self.action]),
            *_repeats("state element", self.state.names),
            *_repeats("action element", [n for _, _, names in self.action_parts for n in names]),
        ]
        anchors = [*(camera.key for camera in self.cameras), STATE_ANCHOR]
        if self.anchor not in anchors:
            problems.append(f"anchor '{self.anchor}' is no camera; expected {', '.join(anchors)}")
        outputs = {output.name: output for output in self.outputs}
        used: set[str] = set()
        for part in self.action:
            output = outputs.get(part.output)
            if output is None:
                problems.append(
                    f"action slice '{part.name}' goes to output '{part.output}', which is not "
                    f"declared; expected one of {', '.join(outputs)}"
                )
                continue
            if output.name in used:
                problems.append(f"output '{output.name}' executes two slices; give each its own")
            used.add(output.name)
            part = joint_slice(part, output)
            problems += slice_problems(part, output)
            rates = self.rates
            problems += rate_problems(part, output, rates.control_hz, rates.lookahead_s)
        problems += [
            f"output '{name}' executes no action slice; remove it or name it in action"
            for name in outputs
            if name not in used
        ]
        problems += [
            f"posture '{part.posture}' of action slice '{part.name}' is no pose; expected one of "
            f"{', '.join(self.poses) or 'poses, which has none'}"
            for part in self.pose_slices
            if part.posture is not None and part.posture not in self.poses
        ]
        if self.speed_scaling is not None:
            problems += [
                f"action slice '{part.name}' is of kind {part.kind}: speed_scaling slows positions "
                "of joints only, and the rest of the robot would not stay in step; remove one of "
                "the two"
                for part in self.action
                if part.kind in ("velocity", "effort")
                or (part.output in outputs and outputs[part.output].is_pose)
            ]
        if self.pose_slices and self.urdf is None:
            problems.append(f"action slice '{self.pose_slices[0].name}' (pose) needs a urdf")
        measured = {name for _, _, names in self.state.all_parts for name in names}
        known = {*measured, *(j for o in self.outputs if o.commands_joints for j in o.joints)}
        problems += [
            f"limits of '{joint}', which no state or output has: {', '.join(sorted(known))}"
            for joint in self.limits
            if joint not in known
        ]
        for pose, positions in self.poses.items():
            problems += [
                f"pose '{pose}' moves '{joint}', which no output commands"
                for joint in positions
                if joint not in {j for o in self.outputs if o.commands_joints for j in o.joints}
            ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def urdf_text(self) -> str | None:
        """Text of the URDF, where the robot has one; see `with_urdf`."""
        return self._urdf_text

    def with_urdf(self, text: str | None) -> RobotSpec:
        """The same robot with the text of its URDF at hand."""
        spec = self.model_copy()
        spec._urdf_text = text
        return spec

    def state_space(self) -> VectorSpace:
        """Meaning of the state vector."""
        return VectorSpace.of(*self.state.parts)

    def action_space(self) -> VectorSpace:
        """Meaning of the action vector."""
        return VectorSpace.of(*self.action_parts)

    def turning_elements(self) -> npt.NDArray[np.bool_]:
        """Which elements of the action are angles of joints that turn without end. Shape (A,)."""
        space = self.action_space()
        free = {n for n, row in self.limits.items() if row.lower is None and row.upper is None}
        named = zip(space.names, space.kinds, strict=True)
        return np.array([kind == "position" and name in free for name, kind in named], dtype=bool)

    @property
    def action_parts(self) -> tuple[Part, ...]:
        """The slices of the action vector."""
        return tuple(part for slice_ in self.action for part in parts_of(slice_))

    @property
    def pose_slices(self) -> tuple[PoseSliceSpec, ...]:
        """The slices that are poses of links."""
        return tuple(part for part in self.action if isinstance(part, PoseSliceSpec))

    @property
    def solved_slices(self) -> tuple[PoseSliceSpec, ...]:
        """Those of them whose joints are found here, not by their controller."""
        return tuple(part for part in self.pose_slices if not self.output(part.output).is_pose)

    def in_joints(self) -> RobotSpec:
        """The same robot told the positions of its joints where these are found here."""
        slices = tuple(joint_slice(part, self.output(part.output)) for part in self.action)
        return self.model_copy(update={"action": slices})

    def camera(self, key: str) -> CameraSpec:
        """The camera with this key; ``KeyError`` where there is none."""
        return {camera.key: camera for camera in self.cameras}[key]

    @property
    def camera_keys(self) -> tuple[str, ...]:
        """Camera keys in file order."""
        return tuple(camera.key for camera in self.cameras)

    def output(self, name: str) -> OutputSpec:
        """The output with this name; ``KeyError`` where there is none."""
        return {output.name: output for output in self.outputs}[name]

    @property
    def max_observation_age_ns(self) -> int:
        """Oldest anchor that becomes an observation, and its longest unreported silence."""
        return to_ns(self.max_observation_age_s)

    @property
    def fade_ns(self) -> int:
        """Duration of the fade at the seam of two plans."""
        return to_ns(self.fade_s)

    def motion_limits(self, joints: Sequence[str] | None = None) -> MotionLimits:
        """Limits of ``joints`` as arrays, by default of all position slices in order.

        Raises:
            KeyError: a joint has no limits (``load_robot`` refuses such files).
        """
        from vla_ros.motion import MotionLimits  # keeps Ruckig out of the observer

        if joints is None:
            slices = self.in_joints().action
            joints = [n for part in slices if part.kind == "position" for n in part.names]
        rows = [self.limits[joint] for joint in joints]

        def column(field: str, none: float = np.nan) -> npt.NDArray[np.float64]:
            values = [getattr(row, field) for row in rows]
            return np.array([none if v is None else v for v in values], dtype=np.float64)

        return MotionLimits(
            names=tuple(joints),
            lower=column("lower", -np.inf),
            upper=column("upper", np.inf),
            velocity=column("velocity"),
            acceleration=column("acceleration"),
            jerk=column("jerk"),
        )


def spec_hash(spec: RobotSpec) -> int:
    """First 8 bytes of the SHA-256 over the spec's canonical JSON, big-endian, as a uint64.

    Limits taken from the URDF are part of the spec, so they are part of the hash.
    """
    values = spec.model_dump(mode="json")
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _repeats(what: str, names: Sequence[str]) -> list[str]:
    return [
        f"{what} '{name}' occurs more than once"
        for name in dict.fromkeys(names)
        if list(names).count(name) > 1
    ]
