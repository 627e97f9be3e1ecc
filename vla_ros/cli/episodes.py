"""The tasks that are drawn for collection and evaluation: pure functions of a seed."""

from __future__ import annotations

import numpy as np

from vla_ros.policy.protocol import PolicySpec
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.sim.noise import random_start
from vla_ros.sim.rollout import Episode
from vla_ros.sim.truth import BINS, CUBES, Target
from vla_ros.spaces import TimeContract

HORIZON = 16
ALREADY_BINNED = (0.5, 0.25, 0.25)  # chance that 0, 1 or 2 other cubes lie in a bin already


def expert_spec(spec: RobotSpec) -> PolicySpec:
    """What the scripted expert gives on the simulated robot."""
    camera = spec.cameras[0]
    return PolicySpec(
        name="expert",
        model_id="expert",
        camera_keys=spec.camera_keys,
        image_size=(camera.height, camera.width),
        state_names=spec.state_space().names,
        action_names=spec.action_space().names,
        horizon=HORIZON,
        contract=TimeContract.at_capture(spec.camera_keys),
    )


def canonical(target: Target) -> str:
    """The instruction in the plainest words."""
    return f"put the {target.cube} in the {target.bin}"


def training_episode(seed: int) -> Episode:
    """Any target; some cubes lie in a bin already; some episodes begin in a random arm pose."""
    rng = np.random.default_rng([seed, 1])
    target = Target(cube=CUBES[rng.integers(len(CUBES))], bin=BINS[rng.integers(len(BINS))])
    others = rng.permutation([cube for cube in CUBES if cube != target.cube])
    binned = others[: rng.choice(3, p=ALREADY_BINNED)]
    start = random_start(rng)
    return Episode(
        seed=seed,
        target=target,
        prompt=canonical(target),
        binned={str(cube): BINS[rng.integers(len(BINS))] for cube in binned},
        policy_seed=seed,
        **({} if start is None else {"start": start}),
    )


def evaluation_episode(seed: int) -> Episode:
    """All cubes on the table, the arm at home; each of the six targets equally often."""
    kind = seed % (len(CUBES) * len(BINS))
    target = Target(cube=CUBES[kind % len(CUBES)], bin=BINS[kind // len(CUBES)])
    return Episode(seed=seed, target=target, prompt=canonical(target), policy_seed=seed)
