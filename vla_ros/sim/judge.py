"""Did it work? The simulator's judge, from the true state at the goal's start and now.

Success: the named cube lies at rest in the named bin, the gripper is open, and no other cube was
moved more than 3 cm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vla_ros.sim.model import BIN_INSIDE
from vla_ros.sim.truth import CUBES, SimTruth, Target

Outcome = Literal["RUNNING", "SUCCESS", "FAILED"]

MOVED_M = 0.03
OPEN_M = 0.032
REST_SPEED = 0.03
REST_TURN = 0.5
TIME_LIMIT_NS = 15_000_000_000


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge says.

    Attributes:
        outcome: FAILED is final: it cannot become a success any more.
        reason: In words.
    """

    outcome: Outcome
    reason: str


def in_bin(truth: SimTruth, cube: str, bin_: str) -> bool:
    """Whether the cube's middle is inside the bin's walls, and low."""
    offset = truth.objects[cube].position - truth.objects[bin_].position
    return bool(
        abs(offset[0]) < BIN_INSIDE[0] and abs(offset[1]) < BIN_INSIDE[1] and offset[2] < 0.075
    )


def judge(
    before: SimTruth, now: SimTruth, target: Target, *, time_limit_ns: int = TIME_LIMIT_NS
) -> Verdict:
    """Judge one goal.

    Args:
        before: State at the goal's start.
        now: State now.
        target: Which cube belongs in which bin.
        time_limit_ns: Since the goal's start, in [ns].
    """
    for name in CUBES:
        if name == target.cube:
            continue
        moved = now.objects[name].position - before.objects[name].position
        distance = float(np.linalg.norm(moved))
        if distance > MOVED_M:
            return Verdict(
                outcome="FAILED",
                reason=f"the {name} was moved {distance * 100:.1f} cm, at most "
                f"{MOVED_M * 100:.0f} cm are allowed",
            )
    missing = _missing(now, target)
    if missing is None:
        return Verdict(outcome="SUCCESS", reason=f"the {target.cube} lies in the {target.bin}")
    if float(now.objects[target.cube].position[2]) < -0.05:
        return Verdict(outcome="FAILED", reason=f"the {target.cube} fell off the table")
    if now.stamp_ns - before.stamp_ns >= time_limit_ns:
        return Verdict(outcome="FAILED", reason=f"{missing} after {time_limit_ns * 1e-9:.0f} s")
    return Verdict(outcome="RUNNING", reason=missing)


def _missing(now: SimTruth, target: Target) -> str | None:
    """What success still lacks."""
    if not in_bin(now, target.cube, target.bin):
        return f"the {target.cube} is not in the {target.bin}"
    if now.finger < OPEN_M:
        return "the gripper is not open"
    speed, turn = now.speed(target.cube)
    if speed > REST_SPEED or turn > REST_TURN:
        return f"the {target.cube} is not at rest"
    return None
