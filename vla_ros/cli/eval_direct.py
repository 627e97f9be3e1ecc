"""Trials in one process: the pure cores in lockstep, without ROS."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from vla_ros.cli.episodes import expert_spec
from vla_ros.cli.trials import Listening, Trial
from vla_ros.policy.load import load_policy
from vla_ros.policy.runner import PolicyRunner
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.sim.expert_policy import ExpertPolicy
from vla_ros.sim.rollout import Rollout, Timing


def run_direct(
    trials: Iterable[Trial], source: str, *, execute_s: float, inference_s: float
) -> Iterator[dict[str, Any]]:
    """Results of `Trial.result`, one by one.

    Args:
        trials: What to do; with `other`, the run may do either task, and ends when it did.
        source: ``expert``, a checkpoint folder or the file of a policy server.
        execute_s: From one inference to the next, in [s].
        inference_s: Declared duration of an inference, in [s].
    """
    spec = load_robot("sim_arm")
    policy: Any = ExpertPolicy(expert_spec(spec)) if source == "expert" else load_policy(source)
    timing = Timing(inference_ns=round(inference_s * 1e9))
    rollout = Rollout(spec, policy.spec.contract, timing=timing)
    runner = PolicyRunner(
        policy.spec,
        spec.action_space(),
        execute_ns=round(execute_s * 1e9),
        spec_hash=spec_hash(spec),
    )
    for trial in trials:
        started_s = time.monotonic()
        more: dict[str, Any] = {}
        if trial.other is None:
            end = rollout.run(trial.episode, policy, runner)
            success, reason, duration_s = end.success, end.reason, end.duration_s
        else:
            seen = Listening(trial)
            rollout.run(trial.episode, policy, runner, until=seen.push)
            success, reason, duration_s = seen.obeyed, seen.reason, seen.duration_s
            more["other_done"] = seen.other_done
        factor = duration_s / (time.monotonic() - started_s)
        yield trial.result(
            success=success,
            reason=reason,
            duration_s=duration_s,
            real_time_factor=factor,
            **more,
        )
