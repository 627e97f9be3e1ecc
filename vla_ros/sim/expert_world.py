"""A kinematic model of hand, fingers and cubes, in which the scripted expert looks ahead.

The hand follows perfectly, the fingers move at a finite rate, and a held cube moves with the hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from vla_ros.sim.model import BIN_FLOOR_Z, BIN_INSIDE, CUBE_HALF
from vla_ros.sim.truth import FINGER_OPEN

SPEED = 0.40
"""Most the tcp moves, in [m/s]."""
ACCELERATION = 1.6
"""Of the tcp, in [m/s^2]: about 6 rad/s^2 in the joints."""
TURN_SPEED = 1.5
TURN_ACCELERATION = 5.0
APPROACH_RATE = 9.0
"""Speed per distance near a goal, in [1/s]."""
SETTLING_S = 0.06
"""Time constant with which the velocity follows the wanted one, in [s]."""
FINGER_SPEED = 0.20
"""Of the kinematic fingers, in [m/s]."""
HELD_FINGER = 0.0245
"""The fingers hold a cube when they are closed so far around one, in [m]."""


@dataclass
class World:
    """The kinematic state: the hand points down."""

    p: list[float]
    v: list[float]
    yaw: float
    turn: float
    finger: float
    cubes: dict[str, list[float]]
    cube_yaws: dict[str, float]
    bins: dict[str, tuple[float, float]]
    held: str | None = None
    grip: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grasp_yaws: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Aim:
    """Where the rule wants the hand now."""

    x: float
    y: float
    z: float
    yaw: float
    gripper: float
    lateral: float = 1.0


def clip(value: float, low: float, high: float) -> float:
    """The nearest value between two bounds."""
    return low if value < low else high if value > high else value


def wrap(angle: float, period: float = math.pi) -> float:
    """The equivalent angle nearest to 0."""
    return angle - period * round(angle / period)


def inside(cube: list[float], bin_: tuple[float, float]) -> bool:
    """Whether a cube lies in a bin."""
    return (
        abs(cube[0] - bin_[0]) < BIN_INSIDE[0]
        and abs(cube[1] - bin_[1]) < BIN_INSIDE[1]
        and cube[2] < 0.10
    )


def _profile(distance: float, speed: float, acceleration: float) -> float:
    """Speed at which a goal at this distance can be approached."""
    return min(speed, APPROACH_RATE * distance, math.sqrt(1.1 * acceleration * distance))


def advance(world: World, aim: Aim, h: float) -> None:
    """Move hand, fingers and what they hold for `h` seconds."""
    dx, dy, dz = aim.x - world.p[0], aim.y - world.p[1], aim.z - world.p[2]
    d = math.hypot(dx, dy)
    lateral = aim.lateral * _profile(d, SPEED, ACCELERATION) / max(d, 1e-9)
    vertical = math.copysign(_profile(abs(dz), 0.8 * SPEED, ACCELERATION), dz)
    change = [
        (lateral * dx - world.v[0]) / SETTLING_S,
        (lateral * dy - world.v[1]) / SETTLING_S,
        (vertical - world.v[2]) / SETTLING_S,
    ]
    size = math.hypot(*change)
    scale = h * min(1.0, ACCELERATION / max(size, 1e-9))
    for i in range(3):
        old = world.v[i]
        world.v[i] = old + scale * change[i]
        world.p[i] += 0.5 * h * (old + world.v[i])
    error = aim.yaw - world.yaw
    wanted = math.copysign(_profile(abs(error), TURN_SPEED, TURN_ACCELERATION), error)
    old = world.turn
    step = clip((wanted - old) / SETTLING_S, -TURN_ACCELERATION, TURN_ACCELERATION)
    world.turn = old + h * step
    world.yaw += 0.5 * h * (old + world.turn)
    _move_fingers(world, aim.gripper, h)
    if world.held is not None:
        cube = world.cubes[world.held]
        for i in range(3):
            cube[i] = world.p[i] + world.grip[i]


def _move_fingers(world: World, gripper: float, h: float) -> None:
    if gripper > 0.5:
        world.finger = min(FINGER_OPEN, world.finger + FINGER_SPEED * h)
        if world.held is not None and world.finger > HELD_FINGER:
            cube = world.cubes[world.held]
            floor = any(inside(cube, b) for b in world.bins.values())
            cube[2] = CUBE_HALF + (BIN_FLOOR_Z if floor else 0.0)
            world.held = None
        return
    between = world.held or _between(world)
    stop = CUBE_HALF if between else 0.0
    world.finger = max(stop, world.finger - FINGER_SPEED * h)
    if between and world.held is None and world.finger <= CUBE_HALF + 5e-4:
        world.held = between
        cube = world.cubes[between]
        world.grip = (0.0, 0.0, cube[2] - world.p[2])


def _between(world: World) -> str | None:
    """Name of the cube between the fingers, if any."""
    for name, cube in world.cubes.items():
        if math.hypot(cube[0] - world.p[0], cube[1] - world.p[1]) < 0.018 and (
            abs(cube[2] - world.p[2]) < 0.022
        ):
            return name
    return None
