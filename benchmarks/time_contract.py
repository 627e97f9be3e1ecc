"""Does the time contract matter? A clone that looks with its wrist, under the right one or not.

    python -m benchmarks.time_contract [--quick] [--json out.json]

Every camera is 80 ms late. A stamped recording pairs a picture with the state at its capture; a
recording loop pairs it with the state that it reads 80 ms later, when the picture arrives. A clone
of either knows where things are as such a policy must: where the wrist's picture shows them, taken
from where the observation says that the hand is. The loop's clone has learned how far the
demonstrator moves on in 80 ms, and answers what it goes on to do from there. It looks from above
while it comes in from nearer or further, keeps to what it saw while it comes down with open
fingers, and looks again from when they close. Seeing itself is exact, so only the pairing can err.

An episode counts where the first grasp brings the cube to its bin; how many end well after as many
grasps as there is time for is told too. What a clone loses is told against the demonstrator, who
knows where everything is. Nothing but the contract that a clone is run under differs between right
and wrong. In one process, in lockstep, so the result does not depend on the machine.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.harness import Goal, arguments, at_least, at_most, finish
from vla_ros.policy.protocol import PolicySpec
from vla_ros.policy.runner import PolicyRunner
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import RobotSpec, spec_hash
from vla_ros.sim import kinematics
from vla_ros.sim.expert import OPEN_ENOUGH, ScriptedExpert
from vla_ros.sim.expert_policy import ExpertPolicy, read_canonical
from vla_ros.sim.expert_world import HELD_FINGER
from vla_ros.sim.noise import StartPose
from vla_ros.sim.rollout import Episode, Rollout, Timing
from vla_ros.sim.truth import BINS, CUBES, FINGER_INDEX, FINGER_OPEN, Array, Target
from vla_ros.spaces import TimeContract

LATENCY_NS = 80_000_000
DT_NS = 50_000_000
HORIZON = 16
RECORDINGS = {"loop": LATENCY_NS, "stamped": 0}
LOOK_Z = 0.19
"""The hand looks from above this height [m]; it begins at 0.24 m, a cube is 0.04 m high."""
START_X, START_Y, START_Z = (0.17, 0.50), (-0.05, 0.05), 0.24
"""Where the hand begins [m]: nearer or further than every cube."""
TIME_LIMIT_NS = 8_000_000_000
FIRST_SEED = 860_000
"""Nothing above was chosen by episodes from here on."""


class Clone(ExpertPolicy[PolicySpec]):
    """The expert's rule on what the wrist's pictures and the observation's state say.

    Args:
        spec: What it is asked for.
        late_ns: How long after the capture the recording read the state.

    Attributes:
        misjudged_m: How far off it believed the asked cube when the hand went down; None before.
    """

    def __init__(self, spec: PolicySpec, late_ns: int) -> None:
        super().__init__(spec)
        self._late = late_ns / DT_NS
        self._rule = ScriptedExpert()
        self.reset()

    def reset(self) -> None:
        """A new episode: nothing is believed."""
        self._believed: dict[str, Array] = {}
        self.misjudged_m: float | None = None

    def infer(self, request: Any) -> Array:
        """Rows of the expert from the state that it is shown, and the cubes where it saw them."""
        truth, target = self.truth_at(request.observation.t_obs_ns), read_canonical(request.prompt)
        state = request.observation.state
        arm, finger = state[:6], float(state[6])
        (real,), (real_turn,) = kinematics.forward(truth.arm[None])
        shown = {name: real_turn.T @ (truth.objects[name].position - real) for name in CUBES}
        way = self._rule.chunk(truth, target, 4, DT_NS)[:, :6]
        paired = arm - (_from(way, self._late, 1)[0] - truth.arm)
        (hand,), (turn,) = kinematics.forward(paired[None])
        if hand[2] > LOOK_Z or finger < OPEN_ENOUGH:
            self._believed = {name: hand + turn @ at for name, at in shown.items()}
        elif self.misjudged_m is None:
            off = self._believed[target.cube] - truth.objects[target.cube].position
            self.misjudged_m = float(np.linalg.norm(off))
        qpos = truth.qpos.copy()
        qpos[:6], qpos[FINGER_INDEX] = paired, finger
        objects = {
            name: replace(pose, position=self._believed.get(name, pose.position))
            for name, pose in truth.objects.items()
        }
        believed = replace(truth, qpos=qpos, objects=objects)
        rows = self._rule.chunk(believed, target, HORIZON + math.ceil(self._late), DT_NS)
        answer = _from(rows, self._late, HORIZON)
        answer[:, 6:] = np.round(answer[:, 6:])
        return answer


def _from(rows: Array, first: float, count: int) -> Array:
    """Rows from a fractional one on. Shape (count, A)."""
    at = first + np.arange(count)
    return np.stack([np.interp(at, np.arange(len(rows)), column) for column in rows.T], axis=1)


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


def attempt(
    rollout: Rollout, policy: ExpertPolicy[PolicySpec], runner: PolicyRunner, seed: int
) -> tuple[bool, int]:
    """One episode: whether the cube came to its bin, and how often the fingers closed."""
    dice = np.random.default_rng(seed)
    hand = np.array([[dice.choice(START_X), dice.uniform(*START_Y), START_Z]])
    arm = kinematics.inverse(hand, kinematics.hand_down(np.zeros(1)))[0]
    target = Target(cube=CUBES[seed % len(CUBES)], bin=BINS[seed % len(BINS)])
    episode = Episode(
        seed=seed,
        target=target,
        prompt=f"put the {target.cube} in the {target.bin}",
        start=StartPose(arm=arm, finger=FINGER_OPEN),
    )
    fingers = [FINGER_OPEN]
    result = rollout.run(
        episode, policy, runner, on_observation=lambda seen: fingers.append(seen.truth.finger)
    )
    closings = np.diff(np.less(fingers, HELD_FINGER).astype(int)) > 0
    return result.success, int(closings.sum())


def success(robot: RobotSpec, recording: str, contract: str, episodes: int) -> dict[str, Any]:
    """Episodes of one clone, or of the expert, under one contract that it claims."""
    spec = policy_spec(robot, contract)
    expert = recording == "expert"
    policy = ExpertPolicy(spec) if expert else Clone(spec, RECORDINGS[recording])
    timing = Timing(camera_latency_ns=LATENCY_NS, time_limit_ns=TIME_LIMIT_NS)
    rollout = Rollout(robot, spec.contract, timing=timing, images="blank")
    runner = PolicyRunner(spec, robot.action_space(), spec_hash=spec_hash(robot))
    first, done, misjudged = 0, 0, [0.0] if expert else []
    for seed in range(FIRST_SEED, FIRST_SEED + episodes):
        good, grasps = attempt(rollout, policy, runner, seed)
        first += good and grasps == 1
        done += good
        if isinstance(policy, Clone) and policy.misjudged_m is not None:
            misjudged.append(policy.misjudged_m * 1e3)
    return {
        "recorded": recording,
        "contract": contract,
        "right": recording in (contract, "expert"),
        "episodes": episodes,
        "first grasp": first / episodes,
        "in the end": done / episodes,
        "cube misjudged, median [mm]": round(float(np.median(misjudged)), 1),
        "p95 [mm]": round(float(np.percentile(misjudged, 95)), 1),
    }


def main() -> int:
    """Run it."""
    options = arguments(__doc__ or "").parse_args()
    robot, episodes = load_robot("sim_arm"), 5 if options.quick else 40
    rows = [success(robot, "expert", "stamped", episodes)]
    rows += [success(robot, r, c, episodes) for r in RECORDINGS for c in RECORDINGS]
    best = rows[0]["first grasp"]
    goals: list[Goal] = []
    for recording in RECORDINGS:
        rates = {row["right"]: row["first grasp"] for row in rows if row["recorded"] == recording}
        lost, lost_more = best - rates[True], round(rates[True] - rates[False], 6)
        name = f"first grasps that {recording} data loses under"
        goals.append(at_most(f"{name} its own contract", 0.03, lost))
        goals.append(at_least(f"{name} the other", 0.2, lost_more))
    return finish("time contract, camera 80 ms late", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
