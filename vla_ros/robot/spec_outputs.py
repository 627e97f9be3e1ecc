"""The outputs of a robot file: slices of the action vector, controllers and limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vla_ros.robot.spec_base import Finite, Name, NonNegative, Positive, Strict, to_ns
from vla_ros.spaces import SliceKind

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


class ActionSliceSpec(Strict):
    """Consecutive elements of the action vector and the output that executes them."""

    name: Name
    kind: SliceKind
    names: Annotated[tuple[Name, ...], Field(min_length=1)]
    output: Name


class JointLimits(Strict):
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


class GripperSpec(Strict):
    """How a gripper's values are shaped.

    A binary gripper closes below ``close_below``, opens above ``open_above`` and keeps its state
    between and for ``min_hold_s`` after each change. A continuous one moves by at most ``max_rate``
    [strokes per s].
    """

    close_below: Annotated[float, Field(ge=0, le=1)] = 0.5
    open_above: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_hold_s: NonNegative = 0.0
    max_rate: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> GripperSpec:
        if self.close_below > self.open_above:
            raise ValueError(
                f"gripper close_below {self.close_below} must not be above open_above "
                f"{self.open_above}"
            )
        return self

    @property
    def hold_ns(self) -> int:
        """How long a binary gripper keeps its state at least."""
        return to_ns(self.min_hold_s)


class OutputSpec(Strict):
    """One controller that executes slices of the action vector.

    ``joints`` are joint names, or twist axes (x, y, yaw) for a base. ``on_host_loss`` says, in
    words, what the robot side does when commands cease. ``closed_position`` and
    ``open_position`` are the joint positions of a binary or continuous gripper's 0 and 1,
    ``gripper`` says how its values are shaped;
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
    gripper: GripperSpec = GripperSpec()
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
        return to_ns(self.latency_s)

    @property
    def is_twist(self) -> bool:
        """Does this output take a base velocity?"""
        return self.controller in _TWISTS


def slice_problems(part: ActionSliceSpec, output: OutputSpec) -> list[str]:
    """Why this output cannot execute this slice."""
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
            f"'{output.name}' has {len(output.joints)} axes; expected one element per axis"
        )
    return problems
