"""The outputs of a robot file: slices of the action vector, controllers and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from vla_ros.robot.spec.base import Finite, Name, NonNegative, Positive, Strict, to_ns
from vla_ros.spaces import SliceKind

if TYPE_CHECKING:
    from vla_ros.robot.spec.pose import PoseSliceSpec

Controller = Literal[
    "joint_trajectory",
    "joint_trajectory_chunks",
    "follow_joint_trajectory",
    "forward_position",
    "forward_velocity",
    "forward_effort",
    "gripper_command",
    "parallel_gripper_command",
    "twist_stamped",
    "twist",
    "servo_twist",
    "servo_joint_jog",
    "servo_pose",
    "pose_stamped",
]

TWIST_AXES = ("x", "y", "yaw")
"""Elements of a base velocity: m/s, m/s, rad/s in the base frame (REP-103)."""

SERVO_AXES = ("x", "y", "z", "roll", "pitch", "yaw")
"""Elements of an end effector's velocity: m/s, then rad/s about the same axes."""

POSE_BOUNDS = ("linear", "angular")
"""What is bounded of a pose that is streamed: lengths of its velocities and accelerations."""

_POSES = ("servo_pose", "pose_stamped")
_AXES: dict[str, tuple[str, ...]] = {
    "twist_stamped": TWIST_AXES,
    "twist": TWIST_AXES,
    "servo_twist": SERVO_AXES,
}
_RUNS_ON = (*_AXES, "servo_joint_jog", "forward_velocity", "forward_effort")
"""Controllers that keep moving when commands cease, unless the robot side has a timeout."""

_KINDS: dict[Controller, tuple[SliceKind | Literal["pose"], ...]] = {
    "joint_trajectory": ("position", "binary", "gripper"),
    "joint_trajectory_chunks": ("position",),
    "follow_joint_trajectory": ("position", "binary", "gripper"),
    "forward_position": ("position", "binary", "gripper"),
    "forward_velocity": ("velocity",),
    "forward_effort": ("effort",),
    "gripper_command": ("binary", "gripper"),
    "parallel_gripper_command": ("binary", "gripper"),
    "twist_stamped": ("velocity",),
    "twist": ("velocity",),
    "servo_twist": ("velocity",),
    "servo_joint_jog": ("velocity",),
    "servo_pose": ("pose",),
    "pose_stamped": ("pose",),
}

ACTION_RATE_HZ = 10.0
"""How often a goal is sent at most where the robot file does not say."""

_ACTIONS = ("follow_joint_trajectory", "gripper_command", "parallel_gripper_command")


class ActionSliceSpec(Strict):
    """Consecutive elements of the action vector and the output that executes them."""

    name: Name
    kind: SliceKind
    names: Annotated[tuple[Name, ...], Field(min_length=1)]
    output: Name


class JointLimits(Strict):
    """Limits of one joint [rad or m, per s, s^2, s^3; N m or N], or of one twist axis.

    In a file any may be absent and is then taken from the URDF where that has it.
    """

    lower: Finite | None = None
    upper: Finite | None = None
    velocity: Positive | None = None
    acceleration: Positive | None = None
    jerk: Positive | None = None
    effort: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> JointLimits:
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ValueError(f"lower {self.lower} must be below upper {self.upper}")
        return self

    def leaves(self, position: float, direction: float) -> bool:
        """Whether a position is outside, and a motion in ``direction`` leads further out."""
        if direction > 0.0:
            return self.upper is not None and position > self.upper
        return direction < 0.0 and self.lower is not None and position < self.lower


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


class ControllersSpec(Strict):
    """Controllers of ros2_control that an output needs, switched before anything is sent to it."""

    activate: Annotated[tuple[Name, ...], Field(min_length=1)]
    deactivate: tuple[Name, ...] = ()
    manager: Name = "/controller_manager"


class OutputSpec(Strict):
    """One controller that executes slices of the action vector.

    ``topic`` is where its commands go: a topic's or an action's name. ``joints`` are joint names,
    or axes of a twist; of a pose the joints that its controller moves, which tell where it is.
    ``on_host_loss`` says, in words, what the robot side does when commands cease.
    ``closed_position`` and ``open_position`` are the joint positions of a binary or continuous
    gripper's 0 and 1, ``gripper`` says how its values are shaped, ``max_effort`` is what it may
    press with [N or N m]. ``latency_s`` is the actuation delay by which commands are sent early,
    ``rate_hz`` how often they are sent. ``limits`` bound the axes of a twist, or ``linear`` and
    ``angular`` speed and acceleration of a pose, or are ``none``; joints are bounded by the file's
    top-level ``limits``. ``on_stop`` is what an effort becomes at a stop, ``frame`` the frame of an
    end effector's twist.
    """

    name: Name
    controller: Controller
    topic: Name
    joints: Annotated[tuple[Name, ...], Field(min_length=1)]
    on_host_loss: Name | None = None
    closed_position: Finite | None = None
    open_position: Finite | None = None
    gripper: GripperSpec = GripperSpec()
    max_effort: Positive | None = None
    latency_s: NonNegative = 0.0
    rate_hz: Positive | None = None
    limits: dict[Name, JointLimits] | Literal["none"] = Field(default_factory=dict)
    on_stop: Literal["zero", "hold"] = "zero"
    frame: Name | None = None
    controllers: ControllersSpec | None = None

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
        problems = self._limit_problems() + self._stray_problems()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _limit_problems(self) -> list[str]:
        here = f"output '{self.name}' ({self.controller})"
        if self.controller == "joint_trajectory_chunks" and self.limits != "none":
            return [
                f"{here} hands over what the policy says, without velocity, acceleration or jerk "
                "limits; write 'limits: none' where you want that, or use joint_trajectory"
            ]
        if self.limits == "none":
            marked = self.controller == "joint_trajectory_chunks"
            return [] if marked else [f"{here} has limits; remove 'limits: none'"]
        if self.commands_joints:
            stray = f"{here} has limits; joint limits belong in the file's top-level limits"
            return [f"{stray}, only a twist or a pose has its own"] if self.limits else []
        bounded = POSE_BOUNDS if self.is_pose else self.joints
        axes = _AXES.get(self.controller, bounded)
        unknown = [axis for axis in bounded if axis not in axes]
        if unknown:
            return [f"twist axes {', '.join(unknown)} are unknown; expected {', '.join(axes)}"]
        problems = []
        for axis in bounded:
            limit = self.limits.get(axis)
            if limit is None or limit.velocity is None or limit.acceleration is None:
                problems.append(f"{here}: axis '{axis}' needs limits with velocity, acceleration")
        stray_axes = [axis for axis in self.limits if axis not in bounded]
        if stray_axes:
            problems.append(f"limits of {', '.join(stray_axes)}, which are no axes of {here}")
        return problems

    def _stray_problems(self) -> list[str]:
        here = f"output '{self.name}' ({self.controller})"
        grippers = ("gripper_command", "parallel_gripper_command")
        problems = []
        if self.max_effort is not None and self.controller not in grippers:
            problems.append(f"{here} has max_effort, which is for {' and '.join(grippers)}")
        if self.on_stop == "hold" and self.controller != "forward_effort":
            problems.append(f"{here} has on_stop, which is for forward_effort")
        if self.frame is not None and self.controller != "servo_twist":
            problems.append(f"{here} has a frame, which is for servo_twist")
        if self.rate_hz is not None and self.controller == "joint_trajectory_chunks":
            problems.append(f"{here} sends each chunk once; remove rate_hz")
        return problems

    @property
    def latency_ns(self) -> int:
        """Actuation delay by which commands are sent early."""
        return to_ns(self.latency_s)

    @property
    def is_twist(self) -> bool:
        """Does this output take a velocity in space, rather than one of joints?"""
        return self.controller in _AXES

    @property
    def is_pose(self) -> bool:
        """Does this output take poses of a link, whose joints its controller finds?"""
        return self.controller in _POSES

    @property
    def commands_joints(self) -> bool:
        """Does this output tell its ``joints`` where to be, or how fast?"""
        return not (self.is_twist or self.is_pose)

    @property
    def takes_windows(self) -> bool:
        """Does this output take stamped trajectories?"""
        return self.controller in (
            "joint_trajectory",
            "joint_trajectory_chunks",
            "follow_joint_trajectory",
        )

    @property
    def is_action(self) -> bool:
        """Is this output's ``topic`` an action?"""
        return self.controller in _ACTIONS

    @property
    def axis_limits(self) -> dict[str, JointLimits]:
        """Limits of a twist's axes."""
        return {} if self.limits == "none" else self.limits

    def due_hz(self, kind: str, control_hz: float, window_hz: float) -> float:
        """How often a slice of ``kind`` is sent to it [Hz]; a gripper's only when it changes."""
        if self.rate_hz is not None:
            return self.rate_hz
        if self.is_action:
            return ACTION_RATE_HZ
        rolling = self.controller == "joint_trajectory" and kind == "position"
        return window_hz if rolling else control_hz


def slice_problems(part: ActionSliceSpec | PoseSliceSpec, output: OutputSpec) -> list[str]:
    """Why this output cannot execute this slice."""
    problems = []
    if part.kind not in _KINDS[output.controller]:
        problems.append(
            f"action slice '{part.name}' is of kind {part.kind}, which output '{output.name}' "
            f"({output.controller}) cannot execute; it takes "
            f"{' or '.join(_KINDS[output.controller])}"
        )
    if part.kind == "pose":
        solved = {"tolerance_m", "tolerance_rad", "posture"} & part.model_fields_set
        problems += [
            f"action slice '{part.name}' has {key}, but '{output.name}' ({output.controller}) "
            "finds the joints by itself; remove it"
            for key in sorted(solved)
        ]
    elif part.kind in ("binary", "gripper"):
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


def rate_problems(
    part: ActionSliceSpec | PoseSliceSpec, output: OutputSpec, control_hz: float, lookahead_s: float
) -> list[str]:
    """Why this output cannot be sent to as often as it says.

    Args:
        part: The slice it executes.
        output: The output.
        control_hz: The bridge's rate [Hz].
        lookahead_s: How long the bridge still sends once the robot rests, and the length of a
            rolling window [s].
    """
    rate_hz = output.due_hz(part.kind, control_hz, control_hz)
    if rate_hz > control_hz:
        return [
            f"output '{output.name}': rate_hz {rate_hz:g} is above rates.control_hz {control_hz:g}"
        ]
    if part.kind not in ("binary", "gripper") and rate_hz * lookahead_s < 2.0:
        return [
            f"output '{output.name}' is sent to {rate_hz:g} times per second, expected at least "
            f"twice within rates.lookahead_s {lookahead_s:g}; raise its rate_hz"
        ]
    return []
