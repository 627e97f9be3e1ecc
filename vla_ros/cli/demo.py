"""`vla demo`: the whole product in two minutes; exit status 0 only if all went as it should."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from vla_ros.cli.do import (
    OUTCOMES,
    REFUSED,
    STOPPED,
    SUCCEEDED,
    FeedbackPrinter,
    print_result,
)
from vla_ros.data.run_bag import RunBag
from vla_ros.data.run_video import Caption

if TYPE_CHECKING:
    from vla_ros.ros.task_client import TaskClient

GOALS = (
    ("put the red cube in the blue bin", SUCCEEDED),
    ("clear the table", SUCCEEDED),
    ("put the purple cube in the yellow bin", REFUSED),
)
CAMERAS = {"front": "/camera/front/image_raw", "wrist": "/camera/wrist/image_raw"}
ARM = tuple(f"joint{k}" for k in range(1, 7))
FPS = 20
GRAPH_UP_S = 90.0
AFTER_GOAL_S = 1.5
RESUME_S = 20.0
TRIES = 3
STILL_RAD = 2e-3  # a refused goal may not move any joint further than this


class Captions:
    """Follows the feedback of the goals with its time."""

    def __init__(self) -> None:
        self.lines: list[Caption] = []

    def feedback(self, now_ns: int, instruction: str, feedback: Any) -> None:
        """Note a new subtask."""
        subtask = feedback.plan[feedback.index] if feedback.index < len(feedback.plan) else ""
        if not self.lines or (self.lines[-1].instruction, self.lines[-1].subtask) != (
            instruction,
            subtask,
        ):
            self.lines.append(Caption(t_ns=now_ns, instruction=instruction, subtask=subtask))

    def result(self, now_ns: int, instruction: str, outcome: int) -> None:
        """Note how a goal ended."""
        self.lines.append(Caption(t_ns=now_ns, instruction=instruction, outcome=OUTCOMES[outcome]))


def _percentiles_ms(values: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(np.asarray(values) * 1e-6, [50, 99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}


def summarise(bag: RunBag) -> dict[str, Any]:
    """Latencies and offsets of the run, from its bag."""
    plans = bag.plans()
    return {
        "chunks": len(plans),
        "late_chunks": sum(plan.late for plan in plans),
        "inference_ms": _percentiles_ms([p.inference_end_ns - p.inference_start_ns for p in plans]),
        "observation_age_at_inference_ms": _percentiles_ms(
            [p.inference_start_ns - p.t_obs_ns for p in plans]
        ),
        "sync_offset_ms": {
            name: {
                "median": round(float(np.median(v)) * 1e3, 2),
                "max_abs": round(float(np.abs(v).max()) * 1e3, 2),
            }
            for name, v in bag.sync_offsets_s().items()
        },
    }


def report(folder: Path, bag: RunBag, captions: list[Caption]) -> dict[str, Any]:
    """Write video and plot beside the bag; returns the figures for summary.json."""
    from vla_ros.data.run_plot import plot_run
    from vla_ros.data.run_video import run_frames, write_mp4

    frames = run_frames(bag, CAMERAS, captions)
    write_mp4(folder / "run.mp4", [frame for _, frame in frames], FPS)
    plot_run(folder / "joints.png", ARM, bag.commanded(), bag.joints(ARM), bag.plans(), captions)
    return summarise(bag)


def largest_move_rad(bag: RunBag, start_ns: int, end_ns: int) -> float:
    """Largest change of any arm joint's command between two stamps [rad]."""
    commanded = bag.commanded()
    during = (commanded.t_ns >= start_ns) & (commanded.t_ns <= end_ns)
    values = commanded.values[during][:, : len(ARM)]
    return float(np.ptp(values, axis=0).max()) if len(values) else 0.0


def demo(out: Path, policy: str, seed: int) -> int:
    """Start the graph, give the goals, judge, report."""
    from vla_ros.cli.graph_process import demo_graph
    from vla_ros.ros.task_client import TaskClient

    console = Console()
    folder = (out / datetime.now().strftime("%Y-%m-%d-%H%M%S")).resolve()
    folder.mkdir(parents=True)
    started = time.monotonic()
    arguments: dict[str, object] = {"seed": seed, "record": "true", "bag": folder / "bag"}
    if policy:
        arguments["policy"] = policy
    captions = Captions()
    with demo_graph(folder / "graph.log", **arguments) as domain:
        console.print(
            f"Starting the graph in ROS domain {domain}; its log is {folder}/graph.log",
            highlight=False,
        )
        with TaskClient(use_sim_time=True) as client:
            client.wait_for_server(GRAPH_UP_S)
            client.wait_for_policy(GRAPH_UP_S)
            console.print(f"  up after {time.monotonic() - started:.1f} s", highlight=False)
            goals = [_give_again(client, console, captions, *goal) for goal in GOALS]
    console.print("Drawing the video and the plot", highlight=False)
    bag = RunBag(folder / "bag")
    summary = {
        "goals": goals,
        "policy": policy or "checkpoints/nano",
        "seed": seed,
        "captions": [asdict(line) for line in captions.lines],
        **report(folder, bag, captions.lines),
    }
    moved = max(
        largest_move_rad(bag, goal["start_ns"], goal["end_ns"])
        for goal in goals
        if goal["expected"] == OUTCOMES[REFUSED]
    )
    good = all(goal["outcome"] == goal["expected"] for goal in goals) and moved < STILL_RAD
    seconds = round(time.monotonic() - started, 1)
    summary |= {"moved_while_refused_rad": moved, "success": good, "wall_s": seconds}
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    console.print(
        "[bold green]All goals ended as they should[/]"
        if good
        else "[bold red]Not all goals ended as they should[/]",
        f"in {seconds:.0f} s: {folder}/ holds run.mp4, joints.png, bag/, summary.json, graph.log",
        highlight=False,
    )
    return 0 if good else 1


def _give_again(
    client: TaskClient, console: Console, captions: Captions, instruction: str, expected: int
) -> dict[str, Any]:
    """Give one goal; again where the robot was stopped, as happens on a busy computer."""
    for tries in range(1, TRIES + 1):
        given = _give(client, console, captions, instruction, expected) | {"tries": tries}
        if given["outcome"] != OUTCOMES[STOPPED] or tries == TRIES:
            break
        console.print("  Is this computer busy? `resume` lets the robot go on; it is asked again.")
        client.resume(RESUME_S)
    return given


def _give(
    client: TaskClient, console: Console, captions: Captions, instruction: str, expected: int
) -> dict[str, Any]:
    """Give one goal, follow it, wait a moment after it."""
    console.print(f'[bold]"{instruction}"[/]')
    printer = FeedbackPrinter(console)
    start_ns = client.now_ns

    def on_feedback(feedback: Any) -> None:
        printer(feedback)
        captions.feedback(client.now_ns, instruction, feedback)

    result = client.execute(instruction, on_feedback=on_feedback)
    captions.result(client.now_ns, instruction, result.outcome)
    client.spin_until(lambda: False, AFTER_GOAL_S)
    print_result(console, result)
    return {
        "instruction": instruction,
        "outcome": OUTCOMES[result.outcome],
        "expected": OUTCOMES[expected],
        "message": result.message,
        "judge": sorted({subtask.judge for subtask in result.subtasks}),
        "start_ns": start_ns,
        "end_ns": client.now_ns,
    }
