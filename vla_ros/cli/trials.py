"""What `vla eval` asks for in a scene, and how it tells what came of it; no ROS in here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vla_ros.cli.episodes import canonical, evaluation_episode
from vla_ros.robot.files import shared_folder
from vla_ros.sim.judge import TIME_LIMIT_NS, in_bin, judge
from vla_ros.sim.rollout import Episode
from vla_ros.sim.truth import BINS, CUBES, SimTruth, Target
from vla_ros.task_planning import load_vocabulary

LONG_TASK = "clear the table"
_TARGETS = tuple(Target(cube=cube, bin=bin_) for bin_ in BINS for cube in CUBES)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One scene and one instruction.

    Attributes:
        episode: What to do.
        role: "A" or "B" where two instructions are given in the same scene, else empty.
        other: The instruction that is not given then.
    """

    episode: Episode
    role: str = ""
    other: Target | None = None

    def result(
        self, *, success: bool, reason: str, duration_s: float, **more: Any
    ) -> dict[str, Any]:
        """What the report keeps; `seed` and `task` name the trial in every report."""
        role = {"role": self.role} if self.role else {}
        return {
            "seed": self.episode.seed,
            "task": canonical(self.episode.target),
            **role,
            "prompt": self.episode.prompt,
            "success": success,
            "reason": reason,
            "duration_s": duration_s,
            **more,
        }


def single_trials(seeds: range, wordings: str) -> Iterator[Trial]:
    """One instruction a scene; each of the six targets equally often."""
    for seed in seeds:
        yield Trial(episode=_reworded(evaluation_episode(seed), wordings))


def listening_trials(seeds: range, wordings: str) -> Iterator[Trial]:
    """Two different instructions a scene, A and B, each from the same start.

    B differs from A in cube, bin or both: each of the thirty pairs equally often.
    """
    for seed in seeds:
        first = evaluation_episode(seed)
        k = _TARGETS.index(first.target) + 1 + seed // len(_TARGETS) % (len(_TARGETS) - 1)
        target = _TARGETS[k % len(_TARGETS)]
        second = replace(first, target=target, prompt=canonical(target))
        for role, told, other in (("A", first, second), ("B", second, first)):
            yield Trial(episode=_reworded(told, wordings), role=role, other=other.target)


class Listening:
    """Follows one run that may do what it was told, or what it was not told.

    Args:
        trial: What it was told, and the other instruction.

    Attributes:
        obeyed: Whether the judge calls it a success.
        other_done: Whether the other instruction's cube lies at rest in the other instruction's
            bin, the gripper open: its success, but for cubes that were moved.
        reason: The judge's words.
        duration_s: From the first state to the latest, in [s].
        over: Whether nothing that follows counts any more.
    """

    def __init__(self, trial: Trial) -> None:
        if trial.other is None:
            raise ValueError(f"seed {trial.episode.seed}: no second instruction to compare with")
        self._told, self._other = trial.episode.target, trial.other
        self._before: SimTruth | None = None
        self.obeyed = self.other_done = self.over = False
        self.reason = "no state of the simulator seen"
        self.duration_s = 0.0

    def push(self, truth: SimTruth) -> bool:
        """The next state; the first one is the scene before the run. Returns `over`.

        A cube moved by mistake ends nothing: else no run could do the wrong task.
        """
        if self.over:
            return True
        before = self._before = self._before or truth
        said = judge(before, truth, self._told)
        elapsed_ns = truth.stamp_ns - before.stamp_ns
        self.obeyed = said.outcome == "SUCCESS"
        self.other_done = judge(truth, truth, self._other).outcome == "SUCCESS"
        self.reason, self.duration_s = said.reason, elapsed_ns * 1e-9
        self.over = self.obeyed or self.other_done or elapsed_ns >= TIME_LIMIT_NS
        return self.over


def binned(truth: SimTruth) -> int:
    """How many cubes lie where the task file's `LONG_TASK` puts them."""
    vocabulary = load_vocabulary(shared_folder() / "config" / "tasks" / "tabletop.yaml")
    steps = next(task.steps for task in vocabulary.tasks if task.name == LONG_TASK)
    return sum(in_bin(truth, step.object, step.place) for step in steps)


def _reworded(episode: Episode, wordings: str) -> Episode:
    """The same task in other words."""
    if wordings == "canonical":
        return episode
    from vla_ros.train.instructions import instruction

    cube, bin_ = episode.target.cube.split()[0], episode.target.bin.split()[0]
    rng = np.random.default_rng([episode.seed, 3])
    return replace(episode, prompt=instruction(rng, cube, bin_, held_out=wordings == "held-out"))
