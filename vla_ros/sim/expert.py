"""The scripted expert: a rule that looks only at the present state.

`ScriptedExpert.chunk` rolls the rule forward in `expert_world` and solves the inverse kinematics of
all rows at once. Because the rule has no memory, a chunk can start from any state: a displaced
hand, a failed grasp, a wrong cube in the gripper, a finished task.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from vla_ros.sim import kinematics
from vla_ros.sim.expert_world import HELD_FINGER, Aim, World, advance, clip, inside, wrap
from vla_ros.sim.model import BIN_FLOOR_Z, BIN_INSIDE, CUBE_HALF, HOME
from vla_ros.sim.scenes import SLOT_X
from vla_ros.sim.truth import BINS, CUBES, FINGER_OPEN, Array, SimTruth, Target

TILT_RATE = 1.2
"""Speed at which a tilted hand is turned upright, in [rad/s]."""
SUBSTEPS = 4

STRANGE_TILT = 0.5
"""A hand tilted more than this, in [rad], first goes towards home joint by joint."""
STRANGE_JOINT = 0.05
JOINT_SPEED = 1.0
"""Of that motion, in [rad/s]."""
RISE_S = 0.2

TRANSIT_Z = 0.12
CARRY_Z = 0.135
PLACE_Z = 0.054
STACK_Z = 0.095
"""Height from which a cube is let go over a bin that is full."""
OPEN_ENOUGH = 0.036


_Rule = Callable[[World], Aim]


class ScriptedExpert:
    """Knows how to do every task of the table from the true state."""

    def __init__(self) -> None:
        home, _ = kinematics.forward(HOME[None])
        self._home = (float(home[0, 0]), float(home[0, 1]), float(home[0, 2]))

    def chunk(self, truth: SimTruth, target: Target, rows: int, dt_ns: int) -> Array:
        """What to do from this state on.

        Args:
            truth: The state; row k is due ``truth.stamp_ns + k * dt_ns``.
            target: Which cube belongs in which bin.
            rows: Number T of rows.
            dt_ns: Time between rows, in [ns].

        Returns:
            Absolute joint targets [rad] and the gripper (0 closed, 1 open); row 0 has the present
            joints. Shape (T, 7).
        """
        return self._roll(truth, rows, dt_ns, lambda world: self._rule(world, target))

    def reach(
        self,
        truth: SimTruth,
        position: tuple[float, float, float],
        yaw: float,
        gripper: float,
        rows: int,
        dt_ns: int,
    ) -> Array:
        """Move the hand to a pose and stay there, whatever the task. Shape (T, 7)."""
        aim = Aim(*position, yaw, gripper)
        return self._roll(truth, rows, dt_ns, lambda world: aim)

    def holds(self, truth: SimTruth) -> str | None:
        """Name of the cube in the gripper, if any."""
        position, rotation = kinematics.forward(truth.arm[None])
        return _held(truth, position[0], rotation[0])

    def _roll(self, truth: SimTruth, rows: int, dt_ns: int, rule: _Rule) -> Array:
        q0 = np.array(truth.arm)
        if _strange(q0):
            return _straighten(q0, truth.finger, rows, dt_ns)
        two = np.stack([q0, q0 + 1e-3 * truth.qvel[:6]])
        position, rotation = kinematics.forward(two)
        yaw = math.atan2(-rotation[0, 0, 1], rotation[0, 1, 1])
        yaw_next = math.atan2(-rotation[1, 0, 1], rotation[1, 1, 1])
        tilt = _tilt(rotation[0])
        yaw0 = _yaw_without(tilt, rotation[0])
        world = World(
            p=position[0].tolist(),
            v=((position[1] - position[0]) * 1e3).tolist(),
            yaw=yaw0,
            turn=wrap(yaw_next - yaw, 2 * math.pi) * 1e3,
            finger=truth.finger,
            cubes={n: truth.objects[n].position.tolist() for n in CUBES},
            cube_yaws={n: _cube_yaw(truth.objects[n].quaternion) for n in CUBES},
            bins={
                n: (float(truth.objects[n].position[0]), float(truth.objects[n].position[1]))
                for n in BINS
            },
        )
        world.held = _held(truth, position[0], rotation[0])
        if world.held is not None:
            cube = world.cubes[world.held]
            world.grip = (cube[0] - world.p[0], cube[1] - world.p[1], cube[2] - world.p[2])
        poses = np.empty((rows, 4))
        out = np.empty((rows, 7))
        h = dt_ns * 1e-9 / SUBSTEPS
        for row in range(rows):
            poses[row] = (*world.p, world.yaw)
            out[row, 6] = rule(world).gripper
            if row + 1 < rows:
                for _ in range(SUBSTEPS):
                    advance(world, rule(world), h)
        upright = np.maximum(
            0.0,
            1.0
            - TILT_RATE * np.arange(rows) * dt_ns * 1e-9 / max(float(np.linalg.norm(tilt)), 1e-9),
        )
        R = kinematics.rotation_vectors(upright[:, None] * tilt) @ kinematics.hand_down(poses[:, 3])
        q = kinematics.inverse(poses[:, :3], R)
        out[:, :6] = q
        return out

    def _rule(self, world: World, target: Target) -> Aim:
        if world.held == target.cube:
            return self._carry(world, target)
        if world.held is not None:
            return self._put_down(world, world.held)
        if inside(world.cubes[target.cube], world.bins[target.bin]):
            return self._go_home(world)
        return self._pick(world, target.cube)

    def _go_home(self, world: World) -> Aim:
        x, y, z = world.p
        if z < 0.10 and world.finger < OPEN_ENOUGH:
            return Aim(x, y, z, world.yaw, 1.0, 0.0)
        free = clip((z - 0.08) / 0.05, 0.0, 1.0)
        if math.hypot(x - self._home[0], y - self._home[1]) < 0.05:
            free = 1.0
        return Aim(*self._home, _nearest_turn(0.0, world.yaw), 1.0, free)

    def _pick(self, world: World, name: str) -> Aim:
        cx, cy, cz = world.cubes[name]
        if name not in world.grasp_yaws:
            world.grasp_yaws[name] = _grasp_yaw(world, name)
        yaw = _nearest_turn(world.grasp_yaws[name], world.yaw)
        x, y, z = world.p
        grasp_z = max(cz, 0.016)
        d = math.hypot(cx - x, cy - y)
        turn = abs(yaw - world.yaw)
        still = math.hypot(world.v[0], world.v[1], world.v[2]) < 0.06
        closing = world.finger < FINGER_OPEN - 0.003
        slack_xy, slack_z, slack_turn = (0.016, 0.014, 0.35) if closing else (0.006, 0.006, 0.1)
        near = d < slack_xy and abs(z - grasp_z) < slack_z and turn < slack_turn
        if near and (still or closing):
            return Aim(cx, cy, grasp_z, yaw, 0.0)
        e = d + 0.06 * max(0.0, turn - 0.04)
        if world.finger < OPEN_ENOUGH and z < 0.10 and d < 0.06:
            # closed beside or upon the cube: open above it before coming down again
            e = max(e, 0.06)
        return _funnel(world, (cx, cy), yaw, grasp_z, TRANSIT_Z, e, 0.006, 1.0)

    def _carry(self, world: World, target: Target) -> Aim:
        bx, by = world.bins[target.bin]
        sx, sy, place_z = self._place(world, target)
        cube = world.cubes[target.cube]
        place_z = max(place_z, world.p[2] - cube[2] + BIN_FLOOR_Z + CUBE_HALF + 0.004)
        x, y, z = world.p
        # aim with the cube, not with the hand
        tx, ty = sx + x - cube[0], sy + y - cube[1]
        d = math.hypot(tx - x, ty - y)
        yaw = _nearest_turn(0.0, world.yaw)
        still = math.hypot(world.v[0], world.v[1], world.v[2]) < 0.08
        opening = world.finger > 0.0225
        low = z < place_z + (0.02 if opening else 0.008)
        if low and d < (0.03 if opening else 0.014) and (still or opening):
            return Aim(x if opening else tx, y if opening else ty, place_z, world.yaw, 1.0)
        within = abs(cube[0] - bx) < BIN_INSIDE[0] - 0.03 and abs(cube[1] - by) < 0.02
        if within and z < 0.09:
            return Aim(tx, ty, place_z, yaw, 0.0)
        return _funnel(world, (tx, ty), yaw, place_z, CARRY_Z, d, 0.012, 0.0)

    def _place(self, world: World, target: Target) -> tuple[float, float, float]:
        """The free spot of the bin: near slot, far slot, or on top of what lies there."""
        bx, by = world.bins[target.bin]
        others = [c for n, c in world.cubes.items() if n != target.cube and inside(c, (bx, by))]
        if not others:
            return bx - SLOT_X, by, PLACE_Z
        for side in (-SLOT_X, SLOT_X):
            if all(abs(c[0] - bx - side) > 0.048 for c in others):
                return bx + side, by, PLACE_Z
        side = max((-SLOT_X, SLOT_X), key=lambda s: min(abs(c[0] - bx - s) for c in others))
        return bx + side, by, STACK_Z

    def _put_down(self, world: World, name: str) -> Aim:
        """Lay a wrong cube on the nearest free spot of the table."""
        x, y, z = world.p
        others = [c for n, c in world.cubes.items() if n != name]
        best, spot = math.inf, (0.35, 0.0)
        for gx in (0.26, 0.30, 0.34, 0.38, 0.42):
            for gy in (-0.06, 0.0, 0.06):
                gap = min(math.hypot(gx - c[0], gy - c[1]) for c in others)
                cost = math.hypot(gx - x, gy - y) + 20.0 * max(0.0, 0.085 - gap)
                if cost < best:
                    best, spot = cost, (gx, gy)
        low = z - world.cubes[name][2] + CUBE_HALF + 0.002
        free = min(math.hypot(x - c[0], y - c[1]) for c in others) > 0.06 and abs(y) < 0.09
        opening = world.finger > 0.0225
        if free and z < low + 0.10:
            spot = (x, y)
        d = math.hypot(spot[0] - x, spot[1] - y)
        if z < low + 0.006 and (d < 0.01 or opening):
            return Aim(x, y, low, world.yaw, 1.0)
        return _funnel(world, spot, world.yaw, low, CARRY_Z, d, 0.008, 0.0)


def _grasp_yaw(world: World, name: str) -> float:
    """Turn of the hand that takes the cube by two faces and keeps clear of the others."""
    cx, cy, _ = world.cubes[name]
    others = [c for n, c in world.cubes.items() if n != name and c[2] < 0.08]
    best, choice = math.inf, 0.0
    for quarter in (-1, 0, 1):
        yaw = world.cube_yaws[name] + quarter * math.pi / 2
        if abs(yaw) > 1.6:
            continue
        cost = abs(yaw) + 0.3 * abs(yaw - world.yaw)
        fx, fy = -math.sin(yaw) * 0.047, math.cos(yaw) * 0.047
        for c in others:
            gap = min(
                math.hypot(cx + fx - c[0], cy + fy - c[1]),
                math.hypot(cx - fx - c[0], cy - fy - c[1]),
            )
            cost += 60.0 * max(0.0, 0.036 - gap)
        if cost < best:
            best, choice = cost, yaw
    return choice


def _nearest_turn(yaw: float, now: float) -> float:
    """The hand is the same after half a turn: take the nearer one, within what joint 6 can do."""
    near = now + wrap(yaw - now)
    return near if abs(near) < 1.75 else yaw


def _funnel(
    world: World,
    spot: tuple[float, float],
    yaw: float,
    low_z: float,
    high_z: float,
    error: float,
    free: float,
    gripper: float,
) -> Aim:
    """Come down as the error shrinks; move sideways only when high enough."""
    z = low_z + clip((error - free) / 0.05, 0.0, 1.0) * (high_z - low_z)
    lateral = clip(1.0 - (z - world.p[2] - 0.012) / 0.035, 0.0, 1.0)
    return Aim(spot[0], spot[1], z, yaw, gripper, lateral)


def _held(truth: SimTruth, position: Array, rotation: Array) -> str | None:
    """Name of the cube that the fingers hold, judged from distances only."""
    if not 0.014 < truth.finger <= HELD_FINGER:
        return None
    for name in CUBES:
        offset = rotation.T @ (truth.objects[name].position - position)
        if abs(offset[0]) < 0.026 and abs(offset[1]) < 0.012 and abs(offset[2]) < 0.022:
            return name
    return None


def _cube_yaw(quaternion: Array) -> float:
    """Heading of a cube's faces, modulo a quarter turn, in (-pi/4, pi/4]."""
    w, x, y, z = (float(value) for value in quaternion)
    ax, ay, az = 1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)
    if abs(az) > 0.7:
        ax, ay = 2 * (x * y - w * z), 1 - 2 * (x * x + z * z)
    return wrap(math.atan2(ay, ax), math.pi / 2)


def _strange(q: Array) -> bool:
    """Whether the arm is bent in another way than for work: turned away, tilted, other elbow."""
    position, rotation = kinematics.forward(q[None])
    turned = abs(q[0]) > 1.2 or abs(q[3]) > 1.2 or q[4] < 0.25 or abs(q[5]) > 2.4
    if turned or float(np.linalg.norm(_tilt(rotation[0]))) > STRANGE_TILT:
        return True
    return float(np.abs(kinematics.inverse(position, rotation)[0] - q).max()) > STRANGE_JOINT


def _straighten(q: Array, finger: float, rows: int, dt_ns: int) -> Array:
    """Move all joints towards home at once, the gripper as it is. Shape (T, 7)."""
    way = HOME - q
    time_s = np.arange(rows) * dt_ns * 1e-9
    # Speed rises to JOINT_SPEED within RISE_S; the last stretch is left to the next chunk.
    run = np.where(time_s < RISE_S, time_s**2 / (2 * RISE_S), time_s - RISE_S / 2)
    share = np.minimum(1.0, JOINT_SPEED * run / float(np.abs(way).max()))
    out = np.empty((rows, 7))
    out[:, :6] = q + share[:, None] * way
    out[:, 6] = 1.0 if finger > 0.03 else 0.0
    return out


def _tilt(rotation: Array) -> Array:
    """Smallest rotation vector that brings straight down to the hand's approach. Shape (3,)."""
    x, y, z = (float(value) for value in rotation[:, 0])
    sine = math.hypot(x, y)
    angle = math.atan2(sine, -z)
    if sine < 1e-12:
        return np.zeros(3)
    return np.array([y, -x, 0.0]) * (angle / sine)


def _yaw_without(tilt: Array, rotation: Array) -> float:
    """Yaw of the hand after its tilt is taken away."""
    R = kinematics.rotation_vectors(-tilt[None])[0] @ rotation
    return math.atan2(-R[0, 1], R[1, 1])
