"""`vla demo`: the whole product in two minutes; exit status 0 only if all went as it should."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from vla_ros.cli.do import OUTCOMES, REFUSED, SUCCEEDED, FeedbackPrinter, print_result
from vla_ros.data.run_bag import RunBag
from vla_ros.data.run_video import Caption

GOALS = (
    ("put the red cube in the blue bin", SUCCEEDED),
    ("clear the table", SUCCEEDED),
    ("put the purple cube in the yellow bin", REFUSED),
)
CAMERAS = {"front": "/camera/front/image_raw", "wrist": "/camera/wrist/image_raw"}
ARM = tuple(f"joint{k}" for k in range(1, 7))
FPS = 20
GRAPH_UP_S = 90.0
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


def report(folder: Path, captions: list[Caption]) -> dict[str, Any]:
    """Write video and plot beside the bag; returns the figures for summary.json."""
    from vla_ros.data.run_plot import plot_run
    from vla_ros.data.run_video import run_frames, write_mp4

    bag = RunBag(folder / "bag")
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
    from vla_ros.ros.domain import free_domain
    from vla_ros.ros.task_client import TaskClient

    console = Console()
    folder = out / datetime.now().strftime("%Y-%m-%d-%H%M%S")
    folder.mkdir(parents=True)
    started = time.monotonic()
    with free_domain() as domain_id, (folder / "graph.log").open("w") as log:
        console.print(
            f"Starting the graph (ROS_DOMAIN_ID={domain_id}; its log is {log.name})",
            highlight=False,
        )
        arguments = [
            f"seed:={seed}",
            f"bag:={folder / 'bag'}",
            *([f"policy:={policy}"] if policy else []),
        ]
        graph = subprocess.Popen(
            [sys.executable, "-m", "vla_ros.cli.main", "launch", "demo.launch.yaml", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(os.environ),
            start_new_session=True,
        )
        captions, goals = Captions(), []
        try:
            with TaskClient(use_sim_time=True) as client:
                client.wait_for_server(GRAPH_UP_S)
                console.print(f"  up after {time.monotonic() - started:.1f} s", highlight=False)
                for instruction, expected in GOALS:
                    console.print(f'[bold]"{instruction}"[/]')
                    printer = FeedbackPrinter(console)
                    start_ns = client.now_ns

                    def on_feedback(
                        feedback: Any, text: str = instruction, show: Any = printer
                    ) -> None:
                        show(feedback)
                        captions.feedback(client.now_ns, text, feedback)

                    result = client.execute(instruction, on_feedback=on_feedback)
                    captions.result(client.now_ns, instruction, result.outcome)
                    client.spin_until(lambda: False, 1.5)
                    print_result(console, result)
                    goals.append(
                        {
                            "instruction": instruction,
                            "outcome": OUTCOMES[result.outcome],
                            "expected": OUTCOMES[expected],
                            "message": result.message,
                            "judge": sorted({s.judge for s in result.subtasks}),
                            "start_ns": start_ns,
                            "end_ns": client.now_ns,
                        }
                    )
        finally:
            graph.send_signal(signal.SIGINT)
            try:
                graph.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(graph.pid, signal.SIGKILL)
    console.print("Drawing the video and the plot", highlight=False)
    summary = {
        "goals": goals,
        "policy": policy or "checkpoints/nano",
        "seed": seed,
        **report(folder, captions.lines),
    }
    refused = [g for g in goals if g["expected"] == OUTCOMES[REFUSED]]
    moved = max(
        largest_move_rad(RunBag(folder / "bag"), g["start_ns"], g["end_ns"]) for g in refused
    )
    good = all(g["outcome"] == g["expected"] for g in goals) and moved < STILL_RAD
    summary |= {
        "moved_while_refused_rad": moved,
        "success": good,
        "wall_s": round(time.monotonic() - started, 1),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    console.print(
        "[bold green]All goals ended as they should[/]"
        if good
        else "[bold red]Not all goals ended as they should[/]",
        f"in {summary['wall_s']:.0f} s: {folder}/ holds run.mp4, joints.png, bag/, summary.json "
        "and graph.log",
        highlight=False,
    )
    return 0 if good else 1
