"""Disturbances for data collection: demonstrations that go wrong and are put right.

A learner that only sees perfect demonstrations never learns to correct itself (the reasoning of
DART, Laskey et al. 2017, and of DAgger, Ross et al. 2011). During a burst the hand is sent
somewhere beside its way; what the expert does afterwards is recorded. The label of every recorded
frame is the undisturbed expert's chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

import numpy as np

from vla_ros.sim import kinematics
from vla_ros.sim.expert import ScriptedExpert
from vla_ros.sim.expert_policy import ExpertPolicy, Request, SpecT
from vla_ros.sim.truth import FINGER_OPEN, Array, SimTruth

MEAN_BURSTS = 1.5
BURST_S = (0.15, 0.35)
BURST_WITHIN_S = 3.5
OFFSET_M = (0.01, 0.07)
YAW_SD = 0.25
FLIP_SHARE = 0.12
RANDOM_START_SHARE = 0.25
LOWEST_Z = 0.014
ECHO_NS = 100_000_000
"""A burst's chunk is still executed for about so long after it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Burst:
    """One disturbance.

    Attributes:
        start_ns: Since the episode's start, in [ns].
        end_ns: Likewise.
        offset: Where the hand is sent, from where it is, in [m]. Shape (3,).
        yaw: Likewise, in [rad].
        flip: Whether the gripper does the opposite of what is right.
    """

    start_ns: int
    end_ns: int
    offset: Array
    yaw: float
    flip: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class StartPose:
    """Where an episode begins.

    Attributes:
        arm: Joints, in [rad]. Shape (6,).
        finger: Opening, in [m].
    """

    arm: Array
    finger: float


def plan_bursts(rng: np.random.Generator) -> tuple[Burst, ...]:
    """Draw the disturbances of one episode, in order of time."""
    bursts = []
    for start_s in sorted(rng.uniform(0.0, BURST_WITHIN_S, rng.poisson(MEAN_BURSTS))):
        direction = rng.normal(size=3)
        direction *= rng.uniform(*OFFSET_M) / np.linalg.norm(direction)
        bursts.append(
            Burst(
                start_ns=round(start_s * 1e9),
                end_ns=round((start_s + rng.uniform(*BURST_S)) * 1e9),
                offset=direction,
                yaw=float(rng.normal(0.0, YAW_SD)),
                flip=bool(rng.random() < FLIP_SHARE),
            )
        )
    return tuple(bursts)


def random_start(rng: np.random.Generator) -> StartPose | None:
    """Draw a random start pose for a share of the episodes; None means the home pose."""
    if rng.random() >= RANDOM_START_SHARE:
        return None
    position = rng.uniform((0.24, -0.18, 0.10), (0.45, 0.18, 0.28))
    tilt = np.append(rng.normal(0.0, 0.06, 2), 0.0)
    yaw = rng.uniform(-0.8, 0.8)
    rotation = kinematics.rotation_vectors(tilt[None]) @ kinematics.hand_down(np.array([yaw]))
    finger = FINGER_OPEN if rng.random() < 0.8 else 0.0
    return StartPose(arm=kinematics.inverse(position[None], rotation)[0], finger=finger)


class Disturber:
    """Replaces the expert's chunks during bursts.

    Args:
        expert: Moves the hand.
        bursts: From `plan_bursts`.
        start_ns: Simulated time of the episode's start, in [ns].
    """

    def __init__(self, expert: ScriptedExpert, bursts: tuple[Burst, ...], start_ns: int) -> None:
        self._expert = expert
        self._bursts = bursts
        self._start_ns = start_ns
        self._goals: dict[int, tuple[tuple[float, float, float], float]] = {}

    def active(self, now_ns: int) -> bool:
        """Whether a burst is on: frames of this instant are not to be recorded."""
        return self._burst(now_ns) is not None

    def chunk(self, truth: SimTruth, clean: Array, dt_ns: int) -> Array:
        """What is executed in place of the clean chunk.

        Args:
            truth: State at the observation.
            clean: The expert's chunk from there. Shape (T, 7).
            dt_ns: Time between rows, in [ns].

        Returns:
            The clean chunk outside bursts, else the way to the burst's goal. Shape (T, 7).
        """
        burst = self._burst(truth.stamp_ns)
        if burst is None:
            return clean
        if burst.start_ns not in self._goals:
            position, rotation = kinematics.forward(truth.arm[None])
            goal = position[0] + burst.offset
            yaw = float(np.arctan2(-rotation[0, 0, 1], rotation[0, 1, 1])) + burst.yaw
            self._goals[burst.start_ns] = (
                (float(goal[0]), float(goal[1]), max(float(goal[2]), LOWEST_Z)),
                yaw,
            )
        position_, yaw = self._goals[burst.start_ns]
        gripper = float(clean[0, 6])
        if burst.flip:
            gripper = 1.0 - gripper
        return self._expert.reach(truth, position_, yaw, gripper, len(clean), dt_ns)

    def _burst(self, now_ns: int) -> Burst | None:
        since = now_ns - self._start_ns
        return next((b for b in self._bursts if b.start_ns <= since < b.end_ns), None)


class DisturbedPolicy(Generic[SpecT]):
    """The expert's policy with disturbances, for the in-process rollout.

    Call `begin` at each episode's start.

    Args:
        policy: The expert, without noise of its own.

    Attributes:
        clean: The undisturbed chunks of this episode by the observation's capture stamp [ns].
    """

    def __init__(self, policy: ExpertPolicy[SpecT]) -> None:
        self._policy = policy
        self._expert = ScriptedExpert()
        self._disturber = Disturber(self._expert, (), 0)
        self.clean: dict[int, Array] = {}

    @property
    def spec(self) -> SpecT:
        """The expert's."""
        return self._policy.spec

    def begin(self, bursts: tuple[Burst, ...], start_ns: int) -> None:
        """Set the disturbances of the episode that starts at `start_ns`."""
        self._disturber = Disturber(self._expert, bursts, start_ns)
        self.clean = {}

    def disturbed(self, now_ns: int) -> bool:
        """Whether frames of this instant show a burst or its echo, and are not to be recorded."""
        return self._disturber.active(now_ns) or self._disturber.active(now_ns - ECHO_NS)

    def push_truth(self, truth: SimTruth) -> None:
        """As the expert's."""
        self._policy.push_truth(truth)

    def infer(self, request: Request) -> Array:
        """The expert's chunk, or a burst's. Shape (T, 7)."""
        truth = self._policy.truth_at(request.observation.t_obs_ns)
        clean = self.clean[truth.stamp_ns] = self._policy.infer(request)
        return self._disturber.chunk(truth, clean, self.spec.contract.dt_ns)

    def reset(self) -> None:
        """Nothing to forget."""

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def close(self) -> None:
        """Nothing to free."""
