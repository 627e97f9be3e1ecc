"""The robot file as typed values: cameras, state, actions, outputs, limits and named poses.

Everything here is read from a file by ``vla_ros.robot.load``; unknown keys are errors. Times are
float seconds in the file and integer nanoseconds in the properties.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vla_ros.spaces import STATE_ANCHOR, SliceKind, VectorSpace
from vla_ros.spaces.images import ImageTransform

if TYPE_CHECKING:
    from vla_ros.motion import MotionLimits

OnLoss = Literal["skip", "hold", "stop"]
Controller = Literal[
    "joint_trajectory",
    "forward_position",
    "forward_velocity",
    "forward_effort",
    "twist_stamped",
    "twist",
]

TWIST_AXES = ("x", "y", "yaw")
"""Elements of a base velocity: m/s, m/s, rad/s in the base frame (REP-103)."""

_TWISTS = ("twist_stamped", "twist")
_RUNS_ON = (*_TWISTS, "forward_velocity", "forward_effort")
"""Controllers that keep moving when commands cease, unless the robot side has a timeout."""

_KINDS: dict[str, tuple[SliceKind, ...]] = {
    "joint_trajectory": ("position", "binary", "gripper"),
    "forward_position": ("position", "binary", "gripper"),
    "forward_velocity": ("velocity",),
    "forward_effort": ("effort",),
    "twist_stamped": ("velocity",),
    "twist": ("velocity",),
}

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class _Stream(_Strict):
    """What every input stream declares about its loss."""

    topic: Name
    tolerance_s: Positive
    on_loss: OnLoss
    max_age_s: Positive | None = None
    wait_s: NonNegative = 0.05

    @model_validator(mode="after")
    def _hold_has_an_end(self) -> _Stream:
        if (self.on_loss == "hold") != (self.max_age_s is not None):
            raise ValueError(
                "on_loss: hold and max_age_s go together: a hold needs a maximum age, "
                "and skip and stop have none"
            )
        return self

    @property
    def tolerance_ns(self) -> int:
        """Largest distance of a sample from its due time."""
        return _ns(self.tolerance_s)

    @property
    def max_age_ns(self) -> int:
        """Oldest sample that ``on_loss: hold`` may use; 0 for skip and stop."""
        return _ns(self.max_age_s or 0.0)

    @property
    def wait_ns(self) -> int:
        """How long an observation waits for this stream once the anchor is there."""
        return _ns(self.wait_s)


class CameraSpec(_Stream):
    """One camera, from its topic to dataset space.

    ``latency_s`` is how much later than the capture the driver stamps the header (0 for drivers
    that stamp the capture); it is subtracted. ``frozen_motion`` is how far a joint may move [rad
    or m] while the pixels stay identical.
    """

    key: Name
    encoding: Literal["rgb8", "bgr8", "rgba8", "bgra8", "mono8"] = "rgb8"
    frame_id: Name
    latency_s: NonNegative = 0.0
    rate_hz: Positive
    raw_height: Annotated[int, Field(gt=0)]
    raw_width: Annotated[int, Field(gt=0)]
    crop: tuple[int, int, int, int] | None = None
    height: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]
    frozen_motion: Positive = 0.05

    @model_validator(mode="after")
    def _crop_inside(self) -> CameraSpec:
        if self.key == STATE_ANCHOR:
            raise ValueError(f"camera key '{STATE_ANCHOR}' is taken by the state stream; rename it")
        if self.crop is not None:
            x, y, w, h = self.crop
            inside = x + w <= self.raw_width and y + h <= self.raw_height
            if min(x, y) < 0 or min(w, h) < 1 or not inside:
                raise ValueError(
                    f"crop {list(self.crop)} (x, y, width, height) does not lie inside "
                    f"the raw image of {self.raw_width}x{self.raw_height}"
                )
        return self

    @property
    def latency_ns(self) -> int:
        """How much later than the capture the header is stamped."""
        return _ns(self.latency_s)

    @property
    def transform(self) -> ImageTransform:
        """Raw image to dataset space."""
        return ImageTransform(crop=self.crop, height=self.height, width=self.width)


class StateSpec(_Stream):
    """The state vector: joint positions by name, in the order given here."""

    joints: Annotated[tuple[Name, ...], Field(min_length=1)]


class ActionSliceSpec(_Strict):
    """Consecutive elements of the action vector and the output that executes them."""

    name: Name
    kind: SliceKind
    names: Annotated[tuple[Name, ...], Field(min_length=1)]
    output: Name


class JointLimits(_Strict):
    """Limits of one joint [rad or m, per s, s^2, s^3], or of one twist axis.

    In a file any may be absent and is then taken from the URDF where that has it.
    """

    lower: Finite | None = None
    upper: Finite | None = None
    velocity: Positive | None = None
    acceleration: Positive | None = None
    jerk: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> JointLimits:
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ValueError(f"lower {self.lower} must be below upper {self.upper}")
        return self


class OutputSpec(_Strict):
    """One controller that executes slices of the action vector.

    ``joints`` are joint names, or twist axes (x, y, yaw) for a base. ``on_host_loss`` says, in
    words, what the robot side does when commands cease. ``closed_position`` and
    ``open_position`` are the joint positions of a binary or continuous gripper's 0 and 1;
    ``latency_s`` is the actuation delay by which commands are sent early. ``limits`` bound the
    axes of a twist; joints are bounded by the file's top-level ``limits``.
    """

    name: Name
    controller: Controller
    topic: Name
    joints: Annotated[tuple[Name, ...], Field(min_length=1)]
    on_host_loss: Name | None = None
    closed_position: Finite | None = None
    open_position: Finite | None = None
    latency_s: NonNegative = 0.0
    limits: dict[Name, JointLimits] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> OutputSpec:
        if self.controller in _RUNS_ON and self.on_host_loss is None:
            raise ValueError(
                f"output '{self.name}' ({self.controller}) keeps moving when this computer dies; "
                "say under on_host_loss what stops it (for instance: "
                "'diff_drive_controller cmd_vel_timeout 0.5 s')"
            )
        if (self.closed_position is None) != (self.open_position is None):
            raise ValueError("closed_position and open_position go together; give both or none")
        if self.controller in _TWISTS:
            unknown = [axis for axis in self.joints if axis not in TWIST_AXES]
            if unknown:
                raise ValueError(
                    f"twist axes {', '.join(unknown)} are unknown; expected {', '.join(TWIST_AXES)}"
                )
            for axis in self.joints:
                limit = self.limits.get(axis)
                if limit is None or limit.velocity is None or limit.acceleration is None:
                    raise ValueError(
                        f"output '{self.name}': axis '{axis}' needs limits with velocity and "
                        "acceleration"
                    )
            stray = [axis for axis in self.limits if axis not in self.joints]
            if stray:
                raise ValueError(
                    f"limits of {', '.join(stray)}, which are no axes of '{self.name}'"
                )
        elif self.limits:
            raise ValueError(
                f"output '{self.name}' ({self.controller}) has limits; joint limits belong in the "
                "file's top-level limits, only a twist has its own"
            )
        return self

    @property
    def latency_ns(self) -> int:
        """Actuation delay by which commands are sent early."""
        return _ns(self.latency_s)

    @property
    def is_twist(self) -> bool:
        """Does this output take a base velocity?"""
        return self.controller in _TWISTS


class RatesSpec(_Strict):
    """Periods of the control bridge and the shape of a trajectory window."""

    control_hz: Positive = 100.0
    window_hz: Positive = 33.3
    lookahead_s: Positive = 0.25
    spacing_s: Positive = 0.02

    @property
    def control_period_ns(self) -> int:
        """Time between control ticks."""
        return _ns(1.0 / self.control_hz)

    @property
    def window_ticks(self) -> int:
        """Control ticks from one trajectory window to the next."""
        return max(1, round(self.control_hz / self.window_hz))

    @property
    def lookahead_ns(self) -> int:
        """How far a window reaches beyond now, before its brake tail."""
        return _ns(self.lookahead_s)

    @property
    def spacing_ns(self) -> int:
        """Time between the points of a window."""
        return _ns(self.spacing_s)


class SmoothingSpec(_Strict):
    """Minimum-jerk smoothing of plans: the noise [rad or m] to remove; 0 switches it off."""

    noise_rad: NonNegative = 0.0


class WatchdogSpec(_Strict):
    """What the bridge tolerates before it stops; ages on steady time."""

    joint_state_max_age_s: Positive = 0.25
    plan_max_age_s: Positive = 1.0

    @property
    def joint_state_max_age_ns(self) -> int:
        """Longest silence of the joint states."""
        return _ns(self.joint_state_max_age_s)

    @property
    def plan_max_age_ns(self) -> int:
        """Oldest observation that a plan may come from."""
        return _ns(self.plan_max_age_s)


class RobotSpec(_Strict):
    """One robot, as its file and URDF describe it."""

    name: Name
    urdf: str | None = None
    base_frame: Name
    anchor: Name
    cameras: tuple[CameraSpec, ...] = ()
    state: StateSpec
    action: Annotated[tuple[ActionSliceSpec, ...], Field(min_length=1)]
    outputs: Annotated[tuple[OutputSpec, ...], Field(min_length=1)]
    limits: dict[Name, JointLimits] = Field(default_factory=dict)
    rates: RatesSpec = RatesSpec()
    smoothing: SmoothingSpec = SmoothingSpec()
    fade_s: Positive = 0.15
    max_observation_age_s: Positive = 0.5
    max_first_step: Positive
    max_tracking_error: Positive
    watchdogs: WatchdogSpec = WatchdogSpec()
    poses: dict[Name, dict[Name, Finite]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> RobotSpec:
        problems = [
            *_repeats("camera key", [camera.key for camera in self.cameras]),
            *_repeats("output", [output.name for output in self.outputs]),
            *_repeats("action slice", [part.name for part in self.action]),
            *_repeats("state joint", self.state.joints),
            *_repeats("action element", [n for part in self.action for n in part.names]),
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
            problems += _slice_problems(part, output)
        problems += [
            f"output '{name}' executes no action slice; remove it or name it in action"
            for name in outputs
            if name not in used
        ]
        known = {*self.state.joints, *(j for o in self.outputs if not o.is_twist for j in o.joints)}
        problems += [
            f"limits of '{joint}', which is no joint of state or outputs: {', '.join(sorted(known))}"
            for joint in self.limits
            if joint not in known
        ]
        for pose, positions in self.poses.items():
            problems += [
                f"pose '{pose}' moves '{joint}', which no output commands"
                for joint in positions
                if joint not in {j for o in self.outputs if not o.is_twist for j in o.joints}
            ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def state_space(self) -> VectorSpace:
        """Meaning of the state vector."""
        return VectorSpace.of(("joints", "position", self.state.joints))

    def action_space(self) -> VectorSpace:
        """Meaning of the action vector."""
        return VectorSpace.of(*((part.name, part.kind, part.names) for part in self.action))

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
        return _ns(self.max_observation_age_s)

    @property
    def fade_ns(self) -> int:
        """Duration of the fade at the seam of two plans."""
        return _ns(self.fade_s)

    def motion_limits(self, joints: Sequence[str] | None = None) -> MotionLimits:
        """Limits of ``joints`` as arrays, by default of all position slices in order.

        Raises:
            KeyError: a joint has no limits (``load_robot`` refuses such files).
        """
        from vla_ros.motion import MotionLimits  # keeps Ruckig out of the observer

        if joints is None:
            joints = [n for part in self.action if part.kind == "position" for n in part.names]
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


def _slice_problems(part: ActionSliceSpec, output: OutputSpec) -> list[str]:
    problems = []
    if part.kind not in _KINDS[output.controller]:
        problems.append(
            f"action slice '{part.name}' is of kind {part.kind}, which output '{output.name}' "
            f"({output.controller}) cannot execute; it takes "
            f"{' or '.join(_KINDS[output.controller])}"
        )
    if part.kind in ("binary", "gripper"):
        if len(part.names) != 1 or len(output.joints) != 1:
            problems.append(
                f"action slice '{part.name}' ({part.kind}) needs one name and one output joint"
            )
        if output.closed_position is None:
            problems.append(
                f"output '{output.name}' of the {part.kind} slice '{part.name}' needs "
                "closed_position and open_position"
            )
    elif not output.is_twist and part.names != output.joints:
        problems.append(
            f"action slice '{part.name}' has {list(part.names)}, its output '{output.name}' has "
            f"{list(output.joints)}; expected the same joints in the same order"
        )
    elif output.is_twist and len(part.names) != len(output.joints):
        problems.append(
            f"action slice '{part.name}' has {len(part.names)} elements, the twist "
            f"'{output.name}' has {len(output.joints)} axes; expected one element per axis, in order"
        )
    return problems
