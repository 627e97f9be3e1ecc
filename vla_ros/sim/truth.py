"""What really is: the simulator's state at one instant, for the expert and the judge only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

Array = npt.NDArray[np.float64]

ARM_JOINTS = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")
FINGER_JOINT = "finger_joint"
JOINTS = (*ARM_JOINTS, FINGER_JOINT)
CUBES = ("red cube", "green cube", "blue cube")
BINS = ("blue bin", "yellow bin")
FINGER_INDEX = 6
FINGER_OPEN = 0.042
"""Position of `finger_joint` with the gripper open, in [m]; closed is 0."""


class SimError(VlaError):
    """Something that the simulation cannot do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectPose:
    """Where an object is.

    Attributes:
        position: In the base frame, in [m]. Shape (3,).
        quaternion: Rotation to the base frame, order w, x, y, z. Shape (4,).
    """

    position: Array
    quaternion: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class SimTruth:
    """State of the simulated world at one instant.

    Attributes:
        stamp_ns: Simulated time, in [ns].
        qpos: 6 arm joints [rad], `finger_joint` and its mimic [m], then 7 numbers (x, y, z and
            quaternion w, x, y, z) for each of `CUBES`. Shape (29,).
        qvel: 6 arm joints, 2 fingers, then linear and angular velocity of each of `CUBES`.
            Shape (26,).
        objects: Pose of each of `CUBES` and `BINS`.
        seed: Seed of the scene.
    """

    stamp_ns: int
    qpos: Array
    qvel: Array
    objects: Mapping[str, ObjectPose]
    seed: int

    @property
    def arm(self) -> Array:
        """Arm joints, in [rad]. Shape (6,)."""
        return self.qpos[:6]

    @property
    def finger(self) -> float:
        """Opening of one finger, in [m]: 0 closed, `FINGER_OPEN` open."""
        return float(self.qpos[FINGER_INDEX])

    def speed(self, cube: str) -> tuple[float, float]:
        """Linear [m/s] and angular [rad/s] speed of one of `CUBES`."""
        start = 8 + 6 * CUBES.index(cube)
        velocity = self.qvel[start : start + 6]
        return float(np.linalg.norm(velocity[:3])), float(np.linalg.norm(velocity[3:]))


@dataclass(frozen=True, kw_only=True)
class Target:
    """The simulator's reading of an instruction: which cube belongs in which bin.

    Raises:
        SimError: There is no such cube or bin.
    """

    cube: str
    bin: str

    def __post_init__(self) -> None:
        if self.cube not in CUBES or self.bin not in BINS:
            raise SimError(
                f"no target '{self.cube}' in '{self.bin}'; cubes: {', '.join(CUBES)}; "
                f"bins: {', '.join(BINS)}"
            )
