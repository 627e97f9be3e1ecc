"""The fence: what must be true of a plan before it may move anything.

A plan belongs to one epoch (raised at every stop) and one run (one goal). Whatever was computed
before a stop or for another goal is dropped here, so it cannot move the robot afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vla_ros.chunks.plan import Plan

RefusalReason = Literal[
    "epoch",
    "run",
    "sequence",
    "spec",
    "shape",
    "not_finite",
    "future",
    "past",
    "stale",
    "first_step",
    "motion",
    "mode",
    "no_state",
    "not_settled",
    "unknown_pose",
]

MAX_AHEAD_NS = 5_000_000_000


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why something was refused whole.

    Attributes:
        reason: For counting and for tests.
        text: What, expected, got, what to do.
    """

    reason: RefusalReason
    text: str

    def __str__(self) -> str:
        return self.text


class Fence:
    """Accepts plans of the current epoch and run, each once, in order, and in time.

    Args:
        dim: Length A of an action.
        spec_hash: Hash of the robot file in use.
        max_age_ns: Oldest observation a plan may rest on, in [ns].
    """

    def __init__(self, *, dim: int, spec_hash: int, max_age_ns: int) -> None:
        self._dim = dim
        self._spec_hash = spec_hash
        self._max_age_ns = max_age_ns
        self._run_id: bytes | None = None
        self._epoch: int | None = None
        self._last_seq = -1

    @property
    def run_id(self) -> bytes | None:
        """The current run, if any."""
        return self._run_id

    def open(self, epoch: int, run_id: bytes) -> None:
        """Accept the plans of this run from now on, and of no other."""
        if (epoch, run_id) != (self._epoch, self._run_id):
            self._last_seq = -1
        self._epoch = epoch
        self._run_id = run_id

    def close(self) -> None:
        """Accept nothing."""
        self._epoch = None
        self._run_id = None
        self._last_seq = -1

    def passed(self, plan: Plan) -> None:
        """Take note that a plan is being executed: no later one may have its number or a lower."""
        self._last_seq = plan.seq

    def judge(self, plan: Plan, now_ns: int) -> Refusal | None:
        """Judge a plan.

        Returns:
            None where the plan may be executed, else why it is refused.
        """
        chunk = f"chunk {plan.seq}"
        if self._run_id is None:
            return _refuse(
                "run", f"{chunk} came while no run is current; start a run before publishing chunks"
            )
        if plan.epoch != self._epoch:
            return _refuse(
                "epoch",
                f"{chunk} was computed in epoch {plan.epoch}, expected {self._epoch}: the robot "
                "was stopped or taken over since; start a new run",
            )
        if plan.run_id != self._run_id:
            return _refuse(
                "run",
                f"{chunk} belongs to run {plan.run_id.hex()[:8]}, expected the current run "
                f"{self._run_id.hex()[:8]}; nothing to do, the run is over",
            )
        if plan.seq <= self._last_seq:
            return _refuse(
                "sequence",
                f"{chunk} came after chunk {self._last_seq}; expected a larger number: a "
                "duplicate, or two policies publish on one topic",
            )
        if plan.spec_hash != self._spec_hash:
            return _refuse(
                "spec",
                f"{chunk} was made for robot file {plan.spec_hash:#018x}, expected "
                f"{self._spec_hash:#018x}; start policy and bridge with the same robot file",
            )
        if plan.dim != self._dim:
            return _refuse(
                "shape",
                f"{chunk} has {plan.dim} values in each action, expected {self._dim}; "
                "check the policy's action names against the robot file",
            )
        if not np.isfinite(plan.actions).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(plan.actions))[0])
            return _refuse(
                "not_finite",
                f"{chunk} row {row} column {column} is {plan.actions[row, column]}, expected "
                "finite numbers; check the policy's statistics and its inputs",
            )
        return self._judge_time(plan, now_ns, chunk)

    def _judge_time(self, plan: Plan, now_ns: int, chunk: str) -> Refusal | None:
        age_ns = now_ns - plan.t_obs_ns
        if age_ns < 0:
            return _refuse(
                "future",
                f"{chunk} rests on an observation {-age_ns / 1e9:.3f} s in the future; expected "
                "the past: synchronise the clocks of the two machines",
            )
        if age_ns > self._max_age_ns:
            return _refuse(
                "stale",
                f"{chunk} rests on an observation {age_ns / 1e9:.3f} s old, expected at most "
                f"{self._max_age_ns / 1e9:.3f} s; the policy is too slow or was suspended",
            )
        ahead_ns = max(plan.start_ns, plan.valid_from_ns) - now_ns
        if ahead_ns > MAX_AHEAD_NS:
            return _refuse(
                "future",
                f"{chunk} begins in {ahead_ns / 1e9:.3f} s, expected at most "
                f"{MAX_AHEAD_NS / 1e9:.0f} s; check the policy's time contract",
            )
        if plan.end_ns <= now_ns:
            return _refuse(
                "past",
                f"all rows of {chunk} are in the past: the last ended "
                f"{(now_ns - plan.end_ns) / 1e9:.3f} s ago; expected rows still to come: "
                "inference takes longer than the horizon",
            )
        return None


def _refuse(reason: RefusalReason, text: str) -> Refusal:
    return Refusal(reason=reason, text=text)
