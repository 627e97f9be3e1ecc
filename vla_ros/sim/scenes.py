"""Where cubes and bins lie: a pure function of the seed.

Seeds: training data use 0 to 999,999; seeds from 1,000,000 on are for evaluation and are never
used to train or to choose anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vla_ros.sim.model import BIN_FLOOR_Z, CUBE_HALF
from vla_ros.sim.truth import BINS, CUBES, SimError

FIRST_HELD_OUT_SEED = 1_000_000

CUBE_X = (0.25, 0.45)
CUBE_Y = (-0.07, 0.07)
CUBE_GAP = 0.08
"""Least distance between the centres of two cubes, in [m]: room for an open gripper."""
BIN_X = (0.30, 0.39)
BIN_Y = (0.19, 0.212)
SLOT_X = 0.033
"""Two cubes lie side by side in a bin, so far from its middle along x, in [m]."""

BINNED_AS = {"red cube": "blue bin", "green cube": "yellow bin", "blue cube": "yellow bin"}
"""The bin in which a cube lies that a scene has in its bin already."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a scene puts a thing.

    Attributes:
        x: In the base frame, in [m]; a cube's or a bin's middle.
        y: Likewise.
        z: Likewise; 0 for bins.
        yaw: Rotation about z, in [rad].
    """

    x: float
    y: float
    z: float
    yaw: float


def make_scene(seed: int, binned: Sequence[str] | Mapping[str, str] = ()) -> dict[str, Placement]:
    """Lay out one scene.

    Args:
        seed: Any integer from 0 on; equal seeds give equal scenes.
        binned: Cubes that lie in a bin already: names (each in its bin of `BINNED_AS`), or a
            mapping from cube to bin. The other cubes do not depend on it.

    Returns:
        Placement of each of `CUBES` and `BINS`.

    Raises:
        SimError: An unknown cube or bin, or a negative seed.
    """
    if isinstance(binned, Mapping):
        where = dict(binned)
    else:
        where = {name: BINNED_AS.get(name, "") for name in binned}
    for cube, bin_ in where.items():
        if cube not in CUBES or bin_ not in BINS:
            raise SimError(f"'{cube}' in '{bin_}' is no cube in a bin; cubes: {', '.join(CUBES)}")
    if seed < 0:
        raise SimError(f"scene seed is {seed}, expected 0 or more")
    rng = np.random.default_rng([seed, 20])
    scene: dict[str, Placement] = {}
    side = rng.choice([-1.0, 1.0])
    for name in BINS:
        scene[name] = Placement(
            x=float(rng.uniform(*BIN_X)), y=float(side * rng.uniform(*BIN_Y)), z=0.0, yaw=0.0
        )
        side = -side
    spots = _spots(rng)
    for name, (x, y) in zip(CUBES, spots, strict=True):
        yaw = float(rng.uniform(-math.pi / 4, math.pi / 4))
        scene[name] = Placement(x=x, y=y, z=CUBE_HALF, yaw=yaw)
    filled = dict.fromkeys(BINS, 0)
    for cube in CUBES:
        if cube in where:
            bin_ = where[cube]
            jitter = rng.uniform(-0.006, 0.006, 2)
            slot = (-SLOT_X, SLOT_X)[min(filled[bin_], 1)]
            filled[bin_] += 1
            scene[cube] = Placement(
                x=scene[bin_].x + slot + float(jitter[0]),
                y=scene[bin_].y + float(jitter[1]),
                z=BIN_FLOOR_Z + CUBE_HALF,
                yaw=float(rng.uniform(-0.15, 0.15)),
            )
    return scene


def _spots(rng: np.random.Generator) -> list[tuple[float, float]]:
    """Three places on the table, far enough from each other."""
    while True:
        xs, ys = rng.uniform(*CUBE_X, 3), rng.uniform(*CUBE_Y, 3)
        pairs = ((0, 1), (0, 2), (1, 2))
        if all(math.hypot(xs[i] - xs[j], ys[i] - ys[j]) >= CUBE_GAP for i, j in pairs):
            return [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
