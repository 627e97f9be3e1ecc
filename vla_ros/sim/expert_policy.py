"""The scripted expert behind the Policy protocol: the oracle for tests of timing and success.

It does not look at the images. It looks up the true state at the observation's anchor capture,
matched by stamp, so it must be given the truth of each image (`push_truth`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import numpy as np

from vla_ros.sim.expert import ScriptedExpert
from vla_ros.sim.truth import BINS, CUBES, Array, SimError, SimTruth, Target

_KEPT = 200

Reader = Callable[[str], Target]
"""Turns a prompt into a target."""


class Contract(Protocol):
    """What the expert needs of a time contract."""

    @property
    def dt_ns(self) -> int:
        """Time between rows, in [ns]."""
        ...


class Spec(Protocol):
    """What the expert needs of a policy's spec."""

    @property
    def horizon(self) -> int:
        """Rows T of a chunk."""
        ...

    @property
    def contract(self) -> Contract:
        """When rows are due."""
        ...


class Observed(Protocol):
    """What the expert needs of an observation."""

    @property
    def t_obs_ns(self) -> int:
        """Anchor capture, in [ns]."""
        ...

    @property
    def start_ns(self) -> int:
        """Due time of row 0, in [ns]."""
        ...


class Request(Protocol):
    """What the expert needs of a request."""

    @property
    def observation(self) -> Observed:
        """The question's observation."""
        ...

    @property
    def prompt(self) -> str:
        """The task in words."""
        ...

    @property
    def seed(self) -> int | None:
        """Makes the declared noise repeatable."""
        ...


SpecT = TypeVar("SpecT", bound=Spec)


def read_canonical(prompt: str) -> Target:
    """Read "put the red cube in the blue bin" and the like: a cube's name before a bin's name.

    Raises:
        SimError: The prompt does not name exactly one cube and one bin.
    """
    words = prompt.lower()
    cubes = [name for name in CUBES if name in words]
    bins = [name for name in BINS if name in words]
    if len(cubes) != 1 or len(bins) != 1:
        raise SimError(
            f"prompt '{prompt}' does not name one cube ({', '.join(CUBES)}) and one bin "
            f"({', '.join(BINS)}); give the expert a reader that knows more words"
        )
    return Target(cube=cubes[0], bin=bins[0])


class ExpertPolicy(Generic[SpecT]):
    """Policy protocol over `ScriptedExpert`.

    Args:
        spec: What it gives; horizon and dt are obeyed.
        read: Turns a prompt into a target.
        noise_rad: Standard deviation of the noise added to each arm joint of each row but the
            first, in [rad].
    """

    def __init__(
        self, spec: SpecT, *, read: Reader = read_canonical, noise_rad: float = 0.0
    ) -> None:
        self._spec = spec
        self._read = read
        self._noise_rad = noise_rad
        self._expert = ScriptedExpert()
        self._truths: OrderedDict[int, SimTruth] = OrderedDict()

    @property
    def spec(self) -> SpecT:
        """What it gives."""
        return self._spec

    def push_truth(self, truth: SimTruth) -> None:
        """Learn the true state at an image's capture. The last ten seconds are kept."""
        self._truths[truth.stamp_ns] = truth
        while len(self._truths) > _KEPT:
            self._truths.popitem(last=False)

    def truth_at(self, stamp_ns: int) -> SimTruth:
        """The true state at one capture.

        Raises:
            SimError: It was not pushed, or too long ago.
        """
        if stamp_ns not in self._truths:
            latest = max(self._truths, default=None)
            raise SimError(
                f"no true state at {stamp_ns} ns, the latest is at {latest} ns; the expert needs "
                "the simulator's truth of each anchor image"
            )
        return self._truths[stamp_ns]

    def infer(self, request: Request) -> Array:
        """One chunk from the true state at the observation.

        Returns:
            Absolute joint targets [rad] and gripper 0/1. Shape (T, 7).

        Raises:
            SimError: The truth is missing or the prompt cannot be read.
        """
        observation = request.observation
        truth = self.truth_at(observation.t_obs_ns)
        dt_ns = self._spec.contract.dt_ns
        chunk = self._expert.chunk(truth, self._read(request.prompt), self._spec.horizon, dt_ns)
        if self._noise_rad > 0.0:
            rng = np.random.default_rng(request.seed)
            noise = rng.normal(0.0, self._noise_rad, (len(chunk), 6))
            noise[0] = 0.0
            chunk[:, :6] += noise
        return chunk

    def reset(self) -> None:
        """Nothing to forget: the rule has no memory, and truths are matched by stamp."""

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def close(self) -> None:
        """Nothing to free."""
