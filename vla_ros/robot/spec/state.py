"""The state vector of a robot file: joints by name, and what is joined to them.

The joints come first, then each source in file order. Every value is SI: positions in radians
and metres, whatever unit the driver speaks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vla_ros.robot.spec.base import Finite, Name, Strict
from vla_ros.robot.spec.streams import Stream
from vla_ros.spaces import SliceKind
from vla_ros.spaces.rotations import RotationForm

Part = tuple[str, SliceKind, tuple[str, ...]]
"""Name, kind and element names of one slice of the state vector."""

UNITS = {"si": 1.0, "deg": math.pi / 180.0}
"""Factors from a driver's unit of joint positions to radians or metres."""

ROTATION_NAMES: dict[RotationForm, tuple[str, ...]] = {
    "quaternion": ("qx", "qy", "qz", "qw"),
    "rpy": ("roll", "pitch", "yaw"),
    "axis_angle": ("rx", "ry", "rz"),
    "sixd": ("r11", "r21", "r31", "r12", "r22", "r32"),
}
"""What the elements of each form are called, after the name of what is turned."""

OdometryPart = Literal["x", "y", "yaw", "vx", "vy", "vyaw"]


def _pose_parts(name: str, rotation: RotationForm) -> tuple[Part, ...]:
    turned = tuple(f"{name}_{part}" for part in ROTATION_NAMES[rotation])
    return (
        (f"{name}_position", "pose_pos", tuple(f"{name}_{axis}" for axis in "xyz")),
        (f"{name}_rotation", "pose_rot", turned),
    )


class DerivedSpec(Strict):
    """A vector element that is ``scale * joint + offset`` of a driver's joint.

    For joints that follow another (mimic) and are not published, for the opening of a gripper
    with two fingers, and for drivers that speak percent. ``joint`` is named as the driver does,
    and its value is taken as it comes, in the driver's unit.
    """

    joint: Name
    scale: Finite = 1.0
    offset: Finite = 0.0


class _Joints(Stream):
    """Joint positions by name, in the order given here.

    ``prefix`` is put before the driver's names (two arms whose drivers know one arm each);
    ``continuous`` joints are kept in (-pi, pi] and turn the short way between two samples.
    """

    joints: Annotated[tuple[Name, ...], Field(min_length=1)]
    prefix: str = ""
    unit: Literal["si", "deg"] = "si"
    continuous: tuple[Name, ...] = ()
    derived: dict[Name, DerivedSpec] = Field(default_factory=dict)
    match: Literal["interpolate", "nearest", "before"] = "interpolate"

    @model_validator(mode="after")
    def _names_fit(self) -> _Joints:
        for what, names in (("continuous", self.continuous), ("derived", tuple(self.derived))):
            stray = [name for name in names if name not in self.joints]
            if stray:
                raise ValueError(
                    f"{what} names {', '.join(stray)}, which is not among joints: "
                    f"{', '.join(self.joints)}"
                )
        wrong = [j for j in self.measured if not j.startswith(self.prefix) or j == self.prefix]
        if wrong:
            raise ValueError(
                f"joints {', '.join(wrong)} do not begin with the prefix '{self.prefix}'; the "
                "vector's names are the driver's with the prefix before them"
            )
        return self

    @property
    def measured(self) -> tuple[str, ...]:
        """The joints that are read as they are; the others are derived."""
        return tuple(joint for joint in self.joints if joint not in self.derived)


class JointSource(_Joints):
    """More joints, from another topic."""

    kind: Literal["joints"]
    name: Name

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its part of the state vector."""
        return ((self.name, "position", self.joints),)


class OdometrySource(Stream):
    """Pose [m, rad] and velocity [m/s, rad/s] of a base, from nav_msgs/Odometry.

    Velocities are in the base's own frame (``child_frame_id``).
    """

    kind: Literal["odometry"]
    name: Name
    elements: Annotated[tuple[OdometryPart, ...], Field(min_length=1)] = ("vx", "vyaw")

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its part of the state vector: what is asked of the pose, then of the velocity."""
        slices: tuple[tuple[str, SliceKind, Sequence[str]], ...] = (
            (f"{self.name}_pose", "position", ("x", "y", "yaw")),
            (f"{self.name}_velocity", "velocity", ("vx", "vy", "vyaw")),
        )
        named = [
            (slice_name, kind, tuple(f"{self.name}_{e}" for e in among if e in self.elements))
            for slice_name, kind, among in slices
        ]
        return tuple(part for part in named if part[2])


class PoseStream(Stream):
    """A pose [m] in one of the rotation forms."""

    name: Name
    rotation: RotationForm = "quaternion"

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its part of the state vector: the position, then the rotation."""
        return _pose_parts(self.name, self.rotation)


class PoseSource(PoseStream):
    """A pose from geometry_msgs/PoseStamped."""

    kind: Literal["pose"]


class TransformSource(PoseStream):
    """The pose of the frame ``link`` in ``frame``, from the transforms of tf2_msgs/TFMessage."""

    kind: Literal["tf"]
    frame: Name
    link: Name
    topic: Name = "/tf"
    static_topic: Name = "/tf_static"


class LinkPoseSpec(Strict):
    """The pose [m] of a link, computed from the joints that the state has.

    ``frame`` is the link in whose frame it is, by default the robot's ``base_frame``.
    """

    name: Name
    link: Name
    frame: Name | None = None
    rotation: RotationForm = "quaternion"

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its part of the state vector: the position, then the rotation."""
        return _pose_parts(self.name, self.rotation)


class WrenchSource(Stream):
    """Force [N] and torque [N m] from geometry_msgs/WrenchStamped."""

    kind: Literal["wrench"]
    name: Name

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its part of the state vector."""
        names = tuple(f"{self.name}_{e}" for e in ("fx", "fy", "fz", "tx", "ty", "tz"))
        return ((self.name, "effort", names),)


Source = Annotated[
    JointSource | OdometrySource | PoseSource | TransformSource | WrenchSource,
    Field(discriminator="kind"),
]


class StateSpec(_Joints):
    """The state: joints in the order given here, then each of ``sources`` and of ``poses``.

    ``vector`` names the slices or elements that the state vector is made of, in its order, where
    that is not all of them as they come.
    """

    sources: tuple[Source, ...] = ()
    poses: tuple[LinkPoseSpec, ...] = ()
    vector: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _vector_is_there(self) -> StateSpec:
        known = {name: None for name, _, _ in self.all_parts}
        known |= {name: None for _, _, names in self.all_parts for name in names}
        stray = [name for name in self.vector if name not in known]
        if stray:
            raise ValueError(
                f"state vector names {', '.join(stray)}, expected slices or elements of the state: "
                f"{', '.join(known)}"
            )
        return self

    @model_validator(mode="after")
    def _each_topic_is_read_once(self) -> StateSpec:
        topics = [source.topic for source in self.joint_sources]
        twice = sorted({topic for topic in topics if topics.count(topic) > 1})
        if twice:
            raise ValueError(
                f"joints of {', '.join(twice)} are in more than one source; name them all in one"
            )
        return self

    @property
    def all_parts(self) -> tuple[Part, ...]:
        """Everything that is known of the robot's state."""
        return (
            ("joints", "position", self.joints),
            *(part for source in self.sources for part in source.parts),
            *(part for pose in self.poses for part in pose.parts),
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """The slices of the state vector."""
        if not self.vector:
            return self.all_parts
        slices = {part[0]: part for part in self.all_parts}
        alone: dict[str, Part] = {
            name: (name, kind, (name,)) for _, kind, names in self.all_parts for name in names
        }
        return tuple((alone | slices)[name] for name in self.vector)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the state vector's elements, in order."""
        return tuple(name for _, _, names in self.parts for name in names)

    @property
    def joint_sources(self) -> tuple[StateSpec | JointSource, ...]:
        """Everything that gives joint positions, one for each topic."""
        return (self, *(s for s in self.sources if isinstance(s, JointSource)))
