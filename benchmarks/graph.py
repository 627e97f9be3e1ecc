"""The whole graph in real time on this machine: latency, seams, cancel, CPU for each node.

Runs `demo.launch.yaml` in a ROS domain of its own and gives it goals; nothing else is needed.

- Glass to command: from an image's capture to the first command of the chunk made of it, without
  the inference itself; the simulated camera's own latency is part of it and stands beside it.
- Seam: the step of the commanded acceleration from one control tick to the next, where a new chunk
  enters, against the 99th percentile of the same step within chunks.
- Cancel: from the call to the first command that brakes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from vla_ros_msgs.msg import ActionChunk, Commanded

from benchmarks.harness import Goal, arguments, at_most, finish
from vla_ros.cli.graph_process import demo_graph
from vla_ros.cli.nodes import DEMO_NODES
from vla_ros.ros.task_client import TaskClient

CAMERA_LATENCY_S = 0.03
PERIOD_NS = 10_000_000
"""Of `config/robots/sim_arm.yaml`."""

TRACKING, BRAKING, HOLDING = Commanded.TRACKING, Commanded.BRAKING, Commanded.HOLDING
PROMPTS = (
    "put the red cube in the blue bin",
    "put the green cube in the yellow bin",
    "put the blue cube in the blue bin",
)


def ns(stamp: Any) -> int:
    """builtin_interfaces Time as ns."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


@dataclass
class Heard:
    """What the graph said."""

    commands: list[Any] = field(default_factory=list)
    arrived_ns: list[int] = field(default_factory=list)
    chunks: dict[tuple[bytes, int], Any] = field(default_factory=dict)

    def command(self, message: Any, now_ns: int) -> None:
        """Keep one Commanded."""
        self.commands.append(message)
        self.arrived_ns.append(now_ns)

    def chunk(self, message: Any) -> None:
        """Keep one ActionChunk."""
        self.chunks[bytes(message.run_id.uuid), message.seq] = message

    def keys(self) -> list[tuple[bytes, int]]:
        """Run and chunk of every command."""
        return [(bytes(c.run_id.uuid), c.chunk_seq) for c in self.commands]


def glass_to_command_ms(heard: Heard) -> list[float]:
    """For each chunk that was executed, capture to first command, less the inference [ms]."""
    seen: set[tuple[bytes, int]] = set()
    times = []
    for key, command in zip(heard.keys(), heard.commands, strict=True):
        if key in seen or key not in heard.chunks or command.mode != TRACKING:
            continue
        seen.add(key)
        chunk = heard.chunks[key]
        inference = ns(chunk.inference_end) - ns(chunk.inference_start)
        times.append((ns(command.header.stamp) - ns(chunk.header.stamp) - inference) * 1e-6)
    return times


def acceleration_steps(heard: Heard) -> tuple[np.ndarray, np.ndarray, int]:
    """Largest step of any joint's commanded acceleration from tick to tick.

    Returns:
        At seams and within chunks [rad/s^2]; and how many steps are left out because ticks were
        missed in between, so that the acceleration had longer to change.
    """
    seams, within, longer = [], [], 0
    keys = heard.keys()
    for k in range(1, len(keys)):
        before, after = heard.commands[k - 1], heard.commands[k]
        both = before.mode == TRACKING and after.mode == TRACKING
        if not both or keys[k][0] != keys[k - 1][0]:
            continue
        if ns(after.header.stamp) - ns(before.header.stamp) > 1.5 * PERIOD_NS:
            longer += 1
            continue
        step = np.abs(np.subtract(after.acceleration, before.acceleration)).max()
        (within if keys[k] == keys[k - 1] else seams).append(float(step))
    return np.array(seams), np.array(within), longer


def cpu_seconds() -> dict[str, float]:
    """CPU seconds so far of each node of this domain's graph, by name."""
    used: dict[str, float] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            words = " ".join(process.cmdline())
            times = process.cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        for node in DEMO_NODES:
            if f"/{node} " in words + " " or f"nodes.{node}" in words:
                used[node] = used.get(node, 0.0) + times.user + times.system
    return used


def cancel_ms(client: TaskClient, heard: Heard, prompt: str) -> float:
    """Start a run, cancel it in motion; from the call to the first braking command [ms]."""
    handle = client.start_run(prompt, seed=1)
    client.spin_until(
        lambda: (
            bool(heard.commands)
            and heard.commands[-1].mode == TRACKING
            and max(map(abs, heard.commands[-1].velocity)) > 0.3
        ),
        20.0,
    )
    first, called_ns = len(heard.commands), client.now_ns
    handle.cancel_goal_async()

    def braking() -> bool:
        return any(c.mode in (BRAKING, HOLDING) for c in heard.commands[first:])

    client.spin_until(braking, 5.0)
    stamps = [ns(c.header.stamp) for c in heard.commands[first:] if c.mode in (BRAKING, HOLDING)]
    client.spin_until(lambda: heard.commands[-1].mode == HOLDING, 5.0)
    return (stamps[0] - called_ns) * 1e-6 if stamps else float("inf")


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--policy", default="expert")
    options = parser.parse_args()
    goals_given, cancels = (1, 3) if options.quick else (6, 20)
    heard = Heard()
    log = Path(tempfile.gettempdir()) / "vla_benchmark_graph.log"
    with (
        demo_graph(log, policy=options.policy, camera_latency_s=CAMERA_LATENCY_S),
        TaskClient(use_sim_time=True) as client,
    ):
        client.wait_for_server(60.0)
        client.wait_for_policy(60.0)
        client.wait_for_robot(60.0)
        client.node.create_subscription(
            Commanded, "commanded", lambda m: heard.command(m, client.now_ns), 50
        )
        client.node.create_subscription(ActionChunk, "action_chunk", heard.chunk, 10)
        client.spin_until(lambda: bool(heard.commands), 10.0)
        before, start = cpu_seconds(), time.monotonic()
        for k in range(goals_given):
            client.reset_scene(k, 20.0)
            client.execute(PROMPTS[k % len(PROMPTS)])
        seconds = time.monotonic() - start
        share = {n: 100 * (s - before.get(n, 0.0)) / seconds for n, s in cpu_seconds().items()}
        delays = []
        for k in range(cancels):
            client.go_to("home", 20.0)
            client.reset_scene(100 + k, 20.0)
            delays.append(cancel_ms(client, heard, PROMPTS[k % len(PROMPTS)]))
    glass = glass_to_command_ms(heard)
    seams, within, longer = acceleration_steps(heard)
    ratio = float(np.percentile(seams, 99) / np.percentile(within, 99))
    rows = [
        {"figure": "glass to command, without inference [ms]", **spread(glass)},
        {"figure": "  of which the simulated camera [ms]", **spread([CAMERA_LATENCY_S * 1e3])},
        {"figure": "acceleration step at seams [rad/s^2]", **spread(list(seams))},
        {"figure": "acceleration step within chunks [rad/s^2]", **spread(list(within))},
        {"figure": "steps left out: ticks were missed between", "n": longer},
        {"figure": "cancel to deceleration [ms]", **spread(delays)},
        *({"figure": f"CPU of {n} [% of a core]", **spread([v])} for n, v in share.items()),
    ]
    goals: list[Goal] = [
        at_most("cancel to deceleration, p99 [ms]", 100.0, float(np.percentile(delays, 99))),
        at_most("seam acceleration step, p99, over that within chunks", 1.2, ratio),
    ]
    return finish("graph, real time", rows, goals, options.json)


def spread(values: list[float]) -> dict[str, float]:
    """Count, median and 99th percentile."""
    p50, p99 = np.percentile(values, [50, 99]) if values else (np.nan, np.nan)
    return {"n": len(values), "p50": float(p50), "p99": float(p99)}


if __name__ == "__main__":
    sys.exit(main())
