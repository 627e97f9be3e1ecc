"""Slices of the action vector that are poses of a link, executed by moving joints."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from vla_ros.robot.spec.base import Name, Positive, Strict
from vla_ros.robot.spec.outputs import ActionSliceSpec, OutputSpec
from vla_ros.robot.spec.state import ROTATION_NAMES, Part
from vla_ros.spaces import SliceKind
from vla_ros.spaces.rotations import RotationForm


class PoseSliceSpec(Strict):
    """Where a link is to be: position [m], then rotation.

    Its output's joints bring it there, or the output takes poses itself and the last three do not
    apply.

    ``frame`` is the link in whose frame poses are, by default the robot's ``base_frame``.
    ``relative_to: command`` makes each row a step from the row before, ``observed`` makes all rows
    relative to where the link was when the policy looked; a relative pose is along the ``axes`` of
    the link itself or of the frame. A plan is executed up to the first row that the link would
    miss by more than ``tolerance_m`` or ``tolerance_rad``. ``posture`` names the pose that joints
    drift to which the link's pose leaves free, by default the middle of their ranges. ``names``
    are those of the elements where a policy has its own.
    """

    name: Name
    kind: Literal["pose"]
    link: Name
    output: Name
    frame: Name | None = None
    rotation: RotationForm = "quaternion"
    relative_to: Literal["frame", "command", "observed"] = "frame"
    axes: Literal["link", "frame"] = "link"
    tolerance_m: Positive = 0.005
    tolerance_rad: Positive = 0.05
    posture: Name | None = None
    names: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> PoseSliceSpec:
        if self.relative_to == "command" and self.rotation not in ("axis_angle", "rpy"):
            raise ValueError(
                f"action slice '{self.name}': steps (relative_to: command) are added up, which "
                f"{self.rotation} cannot be; use rotation: axis_angle or rpy"
            )
        if self.names and len(self.names) != len(self._own_names):
            raise ValueError(
                f"action slice '{self.name}' names {len(self.names)} elements, a position and "
                f"{self.rotation} have {len(self._own_names)}: {', '.join(self._own_names)}"
            )
        return self

    @property
    def _own_names(self) -> tuple[str, ...]:
        return tuple(f"{self.name}_{e}" for e in (*"xyz", *ROTATION_NAMES[self.rotation]))

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its part of the action vector: the position, then the rotation."""
        names = self.names or self._own_names
        kinds: tuple[SliceKind, SliceKind] = ("pose_pos", "pose_rot")
        if self.relative_to == "command":
            kinds = ("pose_step", "pose_step")
        return (
            (f"{self.name}_position", kinds[0], names[:3]),
            (f"{self.name}_rotation", kinds[1], names[3:]),
        )


def parts_of(part: ActionSliceSpec | PoseSliceSpec) -> tuple[Part, ...]:
    """A slice of the robot file as slices of the action vector."""
    if isinstance(part, PoseSliceSpec):
        return part.parts
    return ((part.name, part.kind, part.names),)


def joint_slice(
    part: ActionSliceSpec | PoseSliceSpec, output: OutputSpec
) -> ActionSliceSpec | PoseSliceSpec:
    """The slice that is executed: in the place of a pose the positions of its output's joints.

    A pose whose output takes poses stays one.
    """
    if isinstance(part, PoseSliceSpec) and not output.is_pose:
        return ActionSliceSpec(
            name=part.name, kind="position", names=output.joints, output=part.output
        )
    return part
