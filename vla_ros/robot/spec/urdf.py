"""Joint limits from a URDF, merged with the robot file's: the tighter one wins.

A URDF knows position, velocity and effort limits (http://wiki.ros.org/urdf/XML/joint);
acceleration and jerk come from the robot file. The soft limits of ``safety_controller`` are
position limits too.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from vla_ros.errors import VlaError
from vla_ros.robot.near import did_you_mean
from vla_ros.robot.spec.robot import JointLimits

_MOVABLE = ("revolute", "continuous", "prismatic")


class UrdfError(VlaError):
    """A URDF is no URDF, or lacks what the robot file asks of it."""


@dataclass(frozen=True, kw_only=True)
class UrdfJoint:
    """One movable joint.

    Attributes:
        name: its name.
        kind: revolute, continuous or prismatic.
        mimics: the joint it follows, if any; such a joint cannot be commanded.
        limits: position limits (none for continuous joints), velocity and effort.
    """

    name: str
    kind: str
    mimics: str | None
    limits: JointLimits


def read_urdf(text: str) -> dict[str, UrdfJoint]:
    """Movable joints by name.

    Raises:
        UrdfError: no XML, no ``<robot>``, or a limit that is no finite number.
    """
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise UrdfError(f"the URDF is no XML ({error}); expand xacro files before use") from None
    if root.tag != "robot":
        raise UrdfError(f"the URDF's root element is <{root.tag}>; expected <robot>")
    joints = {}
    for element in root.findall("joint"):
        kind = element.get("type", "")
        if kind in _MOVABLE:
            name = element.get("name", "")
            joints[name] = _joint(name, kind, element)
    return joints


def merge_limits(
    joint: str, urdf: Mapping[str, UrdfJoint] | None, file: JointLimits | None
) -> JointLimits:
    """Complete limits of one commanded joint.

    Args:
        joint: its name.
        urdf: joints of the URDF; None for a robot file without one.
        file: what the robot file says about it.

    Returns:
        The tighter of both, with velocity, acceleration and jerk set; ``lower`` and ``upper``
        are None for continuous joints only.

    Raises:
        UrdfError: the joint is not in the URDF, follows another, or a limit is nowhere.
    """
    file = file or JointLimits()
    continuous = False
    if urdf is not None:
        if joint not in urdf:
            raise UrdfError(
                f"joint '{joint}' is not in the URDF, which has {', '.join(urdf)}"
                f"{did_you_mean(joint, urdf)}"
            )
        described = urdf[joint]
        if described.mimics is not None:
            raise UrdfError(
                f"joint '{joint}' mimics '{described.mimics}' and cannot be commanded; command "
                f"'{described.mimics}'"
            )
        continuous = described.kind == "continuous"
        file = _tighter(joint, described.limits, file)
    needed = ["velocity", "acceleration", "jerk"]
    if not continuous:
        needed += ["lower", "upper"]
    missing = [field for field in needed if getattr(file, field) is None]
    if missing:
        raise UrdfError(
            f"joint '{joint}' has no limit for {', '.join(missing)}; "
            f"add them under limits.{joint} in the robot file"
        )
    return file


def _tighter(joint: str, one: JointLimits, other: JointLimits) -> JointLimits:
    def both(field: str) -> list[float]:
        return [v for v in (getattr(one, field), getattr(other, field)) if v is not None]

    lower, upper = max(both("lower"), default=None), min(both("upper"), default=None)
    if lower is not None and upper is not None and lower >= upper:
        raise UrdfError(
            f"joint '{joint}': the URDF's and the robot file's ranges do not overlap "
            f"(lower {lower}, upper {upper}); check the units (radians, metres)"
        )
    return JointLimits(
        lower=lower,
        upper=upper,
        velocity=min(both("velocity"), default=None),
        acceleration=min(both("acceleration"), default=None),
        jerk=min(both("jerk"), default=None),
        effort=min(both("effort"), default=None),
    )


def _joint(name: str, kind: str, element: ET.Element) -> UrdfJoint:
    mimic = element.find("mimic")
    limit, safety = element.find("limit"), element.find("safety_controller")
    values: dict[str, float] = {}
    if limit is not None:
        for field in ("velocity", "effort"):
            value = _number(name, limit, field)
            if value and value > 0.0:
                values[field] = value
        if kind != "continuous":
            values["lower"] = _number(name, limit, "lower") or 0.0
            values["upper"] = _number(name, limit, "upper") or 0.0
    if safety is not None and kind != "continuous":
        for side, attribute, choose in (
            ("lower", "soft_lower_limit", max),
            ("upper", "soft_upper_limit", min),
        ):
            soft = _number(name, safety, attribute)
            if soft is not None:
                values[side] = choose(values[side], soft) if side in values else soft
    if "lower" in values and "upper" in values and values["lower"] >= values["upper"]:
        raise UrdfError(
            f"joint '{name}' has lower {values['lower']} and upper {values['upper']} in the URDF; "
            "expected lower < upper"
        )
    return UrdfJoint(
        name=name,
        kind=kind,
        mimics=None if mimic is None else mimic.get("joint", ""),
        limits=JointLimits(**values),
    )


def _number(joint: str, element: ET.Element, attribute: str) -> float | None:
    text = element.get(attribute)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UrdfError(
            f"joint '{joint}': <{element.tag} {attribute}='{text}'> is no finite number"
        )
    return value
