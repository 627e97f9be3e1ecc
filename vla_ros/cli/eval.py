"""`vla eval`: success over fresh scenes, through the whole graph or in one process."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from vla_ros.cli.episodes import evaluation_episode, expert_spec
from vla_ros.cli.wilson import wilson_interval
from vla_ros.errors import VlaError
from vla_ros.sim.rollout import Episode

TIME_LIMIT_S = 15.0
EXECUTE_S = 0.1
INFERENCE_S = 0.06
SERVICE_S = 20.0
SUCCEEDED = 1


class EvaluationError(VlaError):
    """An evaluation that cannot be done."""


def evaluate(
    episodes: int,
    seed: int,
    policy: str,
    realtime: bool,
    direct: bool,
    wordings: str,
    json_file: Path | None,
) -> int:
    """Run the scenes seed .. seed + episodes - 1 and report."""
    console = Console()
    if wordings != "canonical" and not direct:
        raise EvaluationError(
            f"--wordings {wordings} needs --direct: the planner of the graph turns every wording "
            "into the canonical one, so the policy would never see it"
        )
    scenes = [reworded(evaluation_episode(seed + k), wordings) for k in range(episodes)]
    run = run_direct(scenes, policy) if direct else run_graph(scenes, policy, realtime)
    results: list[dict[str, Any]] = []
    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=episodes)
        for result in run:
            results.append(result)
            good = sum(r["success"] for r in results)
            progress.update(task, completed=len(results), description=f"{good} succeeded")
    wall_s = time.monotonic() - started
    successes = sum(r["success"] for r in results)
    low, high = wilson_interval(successes, episodes)
    simulated_s = sum(r["duration_s"] for r in results)
    pace = "in one process" if direct else "real time" if realtime else "lockstep"
    console.print(
        f"[bold]{successes} of {episodes}[/] succeeded, 95 % interval {low:.3f} to {high:.3f}; "
        f"{policy}, {pace}, {wordings} wordings, {simulated_s / wall_s:.2f} simulated s per s",
        highlight=False,
    )
    for result in results:
        if not result["success"]:
            console.print(f"  seed {result['seed']}: {result['reason']}", highlight=False)
    if json_file is not None:
        report = {
            "episodes": episodes,
            "successes": successes,
            "interval": [low, high],
            "policy": policy,
            "pace": pace,
            "wordings": wordings,
            "real_time_factor": simulated_s / wall_s,
            "results": results,
        }
        json_file.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def reworded(episode: Episode, wordings: str) -> Episode:
    """The same task in other words."""
    if wordings == "canonical":
        return episode
    if wordings not in ("train", "held-out"):
        raise EvaluationError(f"wordings '{wordings}': expected canonical, train or held-out")
    from dataclasses import replace

    from vla_ros.train.instructions import instruction

    cube, bin_ = episode.target.cube.split()[0], episode.target.bin.split()[0]
    rng = np.random.default_rng([episode.seed, 3])
    return replace(episode, prompt=instruction(rng, cube, bin_, held_out=wordings == "held-out"))


def run_direct(scenes: list[Episode], source: str) -> Iterator[dict[str, Any]]:
    """The pure cores in one process, without ROS."""
    from vla_ros.policy.load import load_policy
    from vla_ros.policy.runner import PolicyRunner
    from vla_ros.robot.load import load_robot
    from vla_ros.robot.spec import spec_hash
    from vla_ros.sim.expert_policy import ExpertPolicy
    from vla_ros.sim.rollout import Rollout, Timing

    spec = load_robot("sim_arm")
    policy: Any = ExpertPolicy(expert_spec(spec)) if source == "expert" else load_policy(source)
    rollout = Rollout(spec, policy.spec.contract, timing=Timing(inference_ns=_ns(INFERENCE_S)))
    runner = PolicyRunner(
        policy.spec,
        spec.action_space(),
        execute_ns=_ns(EXECUTE_S),
        spec_hash=spec_hash(spec),
    )
    for episode in scenes:
        result = rollout.run(episode, policy, runner)
        yield {
            "seed": episode.seed,
            "prompt": episode.prompt,
            "success": result.success,
            "reason": result.reason,
            "duration_s": result.duration_s,
        }


def run_graph(scenes: list[Episode], source: str, realtime: bool) -> Iterator[dict[str, Any]]:
    """The nodes in processes of their own, over DDS."""
    from vla_ros.cli.graph_process import demo_graph
    from vla_ros.ros.task_client import TaskClient

    log = Path(tempfile.gettempdir()) / "vla_eval.log"
    arguments = {
        "policy": source if source == "expert" else Path(source).resolve(),
        "lockstep": "false" if realtime else "true",
        "execute_s": EXECUTE_S,
        "inference_latency_s": INFERENCE_S,
    }
    with demo_graph(log, **arguments), TaskClient(use_sim_time=True) as client:
        client.wait_for_server(60.0)
        client.wait_for_robot(60.0)
        for episode in scenes:
            client.go_to("home", SERVICE_S)
            client.reset_scene(episode.seed, SERVICE_S)
            result = client.execute(episode.prompt, time_limit_s=TIME_LIMIT_S)
            first_try = all(subtask.attempts == 1 for subtask in result.subtasks)
            yield {
                "seed": episode.seed,
                "prompt": episode.prompt,
                "success": result.outcome == SUCCEEDED and first_try,
                "reason": result.message,
                "duration_s": sum(
                    s.duration.sec + s.duration.nanosec * 1e-9 for s in result.subtasks
                ),
            }


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
