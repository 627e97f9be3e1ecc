"""Forward kinematics of a URDF, by MuJoCo on the skeleton alone: links, joints, no shapes.

Fixed joints stay as frames, so every link has a pose. Joints that are not asked for stand at zero,
or at the nearest position their limits allow; joints that mimic an asked one follow it.

Axis letters: N joints asked for, n rows.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.robot.near import did_you_mean
from vla_ros.spaces.rotations import matrix_from_rpy, quaternion_from_matrix

if TYPE_CHECKING:
    import mujoco

FloatArray = npt.NDArray[np.float64]

_KINDS = {"revolute": "mjJNT_HINGE", "continuous": "mjJNT_HINGE", "prismatic": "mjJNT_SLIDE"}


class KinematicsError(VlaError):
    """A URDF is no tree of links, or lacks a joint or a link that is asked for."""


@dataclass(frozen=True, kw_only=True)
class _Joint:
    name: str
    kind: str
    parent: str
    child: str
    position: FloatArray
    quaternion: FloatArray
    axis: FloatArray
    lower: float
    upper: float
    follows: str | None
    factor: float
    offset: float


class Kinematics:
    """Poses of links for joint positions.

    Args:
        urdf: Text of the URDF.
        joints: Joints that move, in the order of every position vector.
        base: Link in whose frame poses are; the root where empty.

    Attributes:
        joints: As given.
        model: The compiled skeleton; positions of its joints are `full(q)`.

    Raises:
        KinematicsError: The URDF is no tree, a joint or the base link is not in it, or MuJoCo is
            not installed.
    """

    def __init__(self, urdf: str, joints: Sequence[str], base: str = "") -> None:
        self.joints = tuple(joints)
        described = {joint.name: joint for joint in _read(urdf)}
        for name in self.joints:
            if name not in described or described[name].kind not in _KINDS:
                movable = [j.name for j in described.values() if j.kind in _KINDS]
                raise KinematicsError(
                    f"joint '{name}' is no movable joint of the URDF, which has "
                    f"{', '.join(movable)}{did_you_mean(name, movable)}"
                )
        moving = [
            joint
            for joint in described.values()
            if joint.name in self.joints or joint.follows in self.joints
        ]
        spec, self._links = _skeleton(list(described.values()), {j.name for j in moving})
        self.model = spec.compile()
        self._mujoco = _mujoco()
        self._data = self._mujoco.MjData(self.model)
        self._leader = np.zeros(len(moving), dtype=np.int64)
        self._factor, self._offset = np.ones(len(moving)), np.zeros(len(moving))
        for joint in moving:
            at = self.model.joint(joint.name).qposadr[0]
            own = joint.name in self.joints
            self._leader[at] = self.joints.index(joint.name if own else str(joint.follows))
            if not own:
                self._factor[at], self._offset[at] = joint.factor, joint.offset
        self._base = self.body(base) if base else None
        self._parents = {j.child: j for j in described.values()}

    @property
    def links(self) -> tuple[str, ...]:
        """Names of all links."""
        return tuple(self._links)

    def full(self, q: npt.ArrayLike) -> FloatArray:
        """Positions of the skeleton's joints, followers included. Shape (..., N) -> (..., M)."""
        values = np.asarray(q, dtype=np.float64)
        return np.asarray(values[..., self._leader] * self._factor + self._offset)

    def poses(self, q: npt.ArrayLike, link: str) -> tuple[FloatArray, FloatArray]:
        """Pose of a link in the base frame for each row of positions.

        Args:
            q: In [rad] or [m]. Shape (n, N).
            link: Its name.

        Returns:
            Positions in [m], Shape (n, 3), and rotation matrices, Shape (n, 3, 3).

        Raises:
            KinematicsError: There is no such link.
        """
        positions, rotations = self.several(q, (link,))
        return positions[:, 0], rotations[:, 0]

    def several(self, q: npt.ArrayLike, links: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Poses of L links at once: Shapes (n, L, 3) and (n, L, 3, 3); see `poses`."""
        bodies = [self.body(link) for link in links]
        rows = self.full(q)
        positions = np.empty((len(rows), len(bodies), 3))
        rotations = np.empty((len(rows), len(bodies), 3, 3))
        data = self._data
        for i, row in enumerate(rows):
            data.qpos[:] = row
            self._mujoco.mj_kinematics(self.model, data)
            positions[i] = data.xpos[bodies]
            rotations[i] = data.xmat[bodies].reshape(-1, 3, 3)
            if self._base is not None:
                back = data.xmat[self._base].reshape(3, 3).T
                positions[i] = (positions[i] - data.xpos[self._base]) @ back.T
                rotations[i] = back @ rotations[i]
        return positions, rotations

    def moving(self, link: str) -> tuple[str, ...]:
        """The joints that a link's pose depends on, asked for or not, the root's first."""
        self.body(link)
        found = []
        while link in self._parents:
            joint = self._parents[link]
            if joint.kind in _KINDS:
                found.append(joint.follows or joint.name)
            link = joint.parent
        return tuple(reversed(found))

    def body(self, link: str) -> int:
        """Number of a link's body in ``model``.

        Raises:
            KinematicsError: There is no such link.
        """
        if link not in self._links:
            raise KinematicsError(
                f"link '{link}' is not in the URDF, which has {', '.join(self._links)}"
                f"{did_you_mean(link, self._links)}"
            )
        return int(self.model.body(self._links[link]).id)


def _mujoco() -> Any:
    """The library, which only robots with a workspace need."""
    try:
        import mujoco
    except ImportError:
        raise KinematicsError(
            "kinematics need MuJoCo, which is not installed; pip install mujoco"
        ) from None
    return mujoco


def _skeleton(joints: list[_Joint], moving: set[str]) -> tuple[mujoco.MjSpec, dict[str, str]]:
    """The tree of bodies, and the body's name of each link."""
    children = {joint.child for joint in joints}
    roots = {joint.parent for joint in joints} - children
    if len(roots) != 1 or len(children) != len(joints):
        raise KinematicsError(
            f"the URDF is no tree: its roots are {', '.join(sorted(roots)) or 'none'}; expected "
            "one, and one parent joint for every other link"
        )
    mujoco = _mujoco()
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    root = roots.pop()
    links, bodies = {root: "world"}, {root: spec.worldbody}
    waiting = list(joints)
    while waiting:
        ready = [joint for joint in waiting if joint.parent in bodies]
        if not ready:
            raise KinematicsError("the URDF is no tree: some of its links form a ring")
        for joint in ready:
            rest = min(max(0.0, joint.lower), joint.upper)
            place, turn = _at(joint, 0.0 if joint.name in moving else rest)
            body = bodies[joint.parent].add_body(
                name=f"link/{joint.child}", pos=place, quat=turn, mass=1.0, inertia=[1.0] * 3
            )
            body.explicitinertial = True
            if joint.name in moving:
                body.add_joint(
                    name=joint.name,
                    type=getattr(mujoco.mjtJoint, _KINDS[joint.kind]),
                    axis=joint.axis,
                    range=[joint.lower, joint.upper],
                    limited=bool(np.isfinite(joint.lower)),
                )
            bodies[joint.child], links[joint.child] = body, f"link/{joint.child}"
        waiting = [joint for joint in waiting if joint.child not in bodies]
    return spec, links


def _at(joint: _Joint, value: float) -> tuple[FloatArray, FloatArray]:
    """Place and turn (w, x, y, z) of a joint's child that stands still at ``value``."""
    x, y, z, w = joint.quaternion
    turn = np.array([w, x, y, z])
    if value == 0.0 or joint.kind not in _KINDS:
        return joint.position, turn
    mujoco = _mujoco()
    if joint.kind == "prismatic":
        moved = np.empty(3)
        mujoco.mju_rotVecQuat(moved, joint.axis * value, turn)
        return joint.position + moved, turn
    more, both = np.empty(4), np.empty(4)
    mujoco.mju_axisAngle2Quat(more, joint.axis, value)
    mujoco.mju_mulQuat(both, turn, more)
    return joint.position, both


def _read(urdf: str) -> list[_Joint]:
    try:
        root = ET.fromstring(urdf)
    except ET.ParseError as error:
        raise KinematicsError(
            f"the URDF is no XML ({error}); expand xacro files before use"
        ) from None
    return [
        _joint(element) for element in root.findall("joint") if element.find("parent") is not None
    ]


def _joint(element: ET.Element) -> _Joint:
    def find(tag: str) -> ET.Element:
        found = element.find(tag)
        return ET.Element(tag) if found is None else found

    def vector(tag: str, attribute: str, default: str) -> FloatArray:
        return np.array(find(tag).get(attribute, default).split(), dtype=np.float64)

    kind, limit, mimic = element.get("type", ""), find("limit"), element.find("mimic")
    bounded = kind in ("revolute", "prismatic")
    axis = vector("axis", "xyz", "1 0 0")
    length = float(np.linalg.norm(axis))
    return _Joint(
        name=element.get("name", ""),
        kind=kind,
        parent=find("parent").get("link", ""),
        child=find("child").get("link", ""),
        position=vector("origin", "xyz", "0 0 0"),
        quaternion=quaternion_from_matrix(matrix_from_rpy(vector("origin", "rpy", "0 0 0"))),
        axis=axis / length if length else axis,
        lower=float(limit.get("lower", 0.0)) if bounded else -np.inf,
        upper=float(limit.get("upper", 0.0)) if bounded else np.inf,
        follows=None if mimic is None else mimic.get("joint", ""),
        factor=1.0 if mimic is None else float(mimic.get("multiplier", 1.0)),
        offset=0.0 if mimic is None else float(mimic.get("offset", 0.0)),
    )
