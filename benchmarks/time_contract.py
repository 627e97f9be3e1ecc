"""Does the time contract matter? A clone of the expert, under the right contract and the wrong one.

    python -m benchmarks.time_contract [--quick] [--json out.json]

The camera is 80 ms late. A recording loop would have paired each picture with the action that it
sent 80 ms after the capture; a stamped recording pairs it with the action at the capture. The
clone is the scripted expert as each recording shows it: its row k is what the expert does at
`capture + L + k dt`, with L = 80 ms or 0. Nothing but the contract that it is run under differs
between the right and the wrong runs. In one process, in lockstep, so the result does not depend
on the machine.

The scripted expert corrects itself at every picture and waits where it grasps, so it forgives
much; a learned policy need not.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Goal, arguments, at_least, finish
from vla_ros.policy.protocol import PolicySpec
from vla_ros.policy.runner import PolicyRunner
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec import RobotSpec, spec_hash
from vla_ros.sim.expert_policy import ExpertPolicy
from vla_ros.sim.rollout import Episode, Rollout, Timing
from vla_ros.sim.truth import BINS, CUBES, Target
from vla_ros.spaces import TimeContract

LATENCY_NS = 80_000_000
DT_NS = 50_000_000
HORIZON = 16
RECORDINGS = {"loop": LATENCY_NS, "stamped": 0}


class Clone(ExpertPolicy[PolicySpec]):
    """The expert, with the actions that a recording paired with a picture.

    Args:
        spec: What it is asked for.
        late_ns: How long after the capture the recording's row 0 was sent.
    """

    def __init__(self, spec: PolicySpec, late_ns: int) -> None:
        margin = -(-late_ns // DT_NS)
        super().__init__(replace(spec, horizon=HORIZON + margin))
        self._asked = spec
        self._late = late_ns / DT_NS

    @property
    def spec(self) -> PolicySpec:
        """What it is asked for."""
        return self._asked

    def infer(self, request: Any) -> npt.NDArray[np.float64]:
        """Rows of the expert, later by what the recording was late."""
        rows = super().infer(request)
        at = np.arange(HORIZON) + self._late
        known = np.arange(len(rows))
        arm = np.stack([np.interp(at, known, column) for column in rows[:, :6].T], axis=-1)
        gripper = rows[np.floor(at).astype(int), 6:]  # held, never averaged
        return np.hstack((arm, gripper))


def policy_spec(robot: RobotSpec, contract: str) -> PolicySpec:
    """A policy whose checkpoint claims this contract."""
    return PolicySpec(
        name="clone",
        model_id="clone",
        camera_keys=robot.camera_keys,
        image_size=(96, 96),
        state_names=robot.state_space().names,
        action_names=robot.action_space().names,
        horizon=HORIZON,
        contract=TimeContract(
            image_latency_ns=dict.fromkeys(robot.camera_keys, RECORDINGS[contract]),
            state_at="decision" if contract == "loop" else "capture",
            action_offset_ns=0,
            dt_ns=DT_NS,
            interpolation="linear",
        ),
    )


def success(robot: RobotSpec, recording: str, contract: str, episodes: int) -> dict[str, Any]:
    """Episodes of one clone under one contract."""
    spec = policy_spec(robot, contract)
    rollout = Rollout(
        robot, spec.contract, timing=Timing(camera_latency_ns=LATENCY_NS), images="blank"
    )
    policy = Clone(spec, RECORDINGS[recording])
    runner = PolicyRunner(
        spec, robot.action_space(), execute_ns=100_000_000, spec_hash=spec_hash(robot)
    )
    results = []
    for seed in range(episodes):
        cube, goal = CUBES[seed % len(CUBES)], BINS[seed % len(BINS)]
        episode = Episode(
            seed=700_000 + seed,
            target=Target(cube=cube, bin=goal),
            prompt=f"put the {cube} in the {goal}",
        )
        results.append(rollout.run(episode, policy, runner))
    return {
        "recorded": recording,
        "contract": contract,
        "right": recording == contract,
        "episodes": episodes,
        "success": sum(r.success for r in results) / episodes,
        "time of the successes [s]": round(
            float(np.mean([r.duration_s for r in results if r.success] or [np.nan])), 2
        ),
    }


def main() -> int:
    """Run it."""
    options = arguments(__doc__ or "").parse_args()
    robot, episodes = load_robot("sim_arm"), 5 if options.quick else 40
    rows = [success(robot, r, c, episodes) for r in RECORDINGS for c in RECORDINGS]
    goals: list[Goal] = []
    for recording in RECORDINGS:
        rates = {row["right"]: row["success"] for row in rows if row["recorded"] == recording}
        goals += [
            at_least(f"success of {recording} data under its own contract", 0.95, rates[True]),
            at_least(
                f"what {recording} data loses under the other", 0.1, rates[True] - rates[False]
            ),
        ]
    return finish("time contract, camera 80 ms late", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
