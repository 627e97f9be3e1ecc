"""Milliseconds per chunk of a checkpoint on this machine, by threads and Euler steps."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import ROOT, Goal, arguments, at_most, finish
from vla_ros.policy.nano_policy import NanoPolicy
from vla_ros.policy.protocol import PolicyRequest
from vla_ros.spaces import Observation

GOAL_MS = 15.0  # per chunk, at the checkpoint's own number of steps, 2 threads


def observation(policy: NanoPolicy, seed: int) -> Observation:
    """Random pixels and a plausible state."""
    rng = np.random.default_rng(seed)
    spec = policy.spec
    images = {
        key: rng.integers(0, 256, (*spec.image_size, 3), dtype=np.uint8) for key in spec.camera_keys
    }
    return Observation(
        seq=seed,
        t_obs_ns=seed,
        start_ns=seed,
        images=images,
        image_stamps_ns=dict.fromkeys(images, seed),
        state=rng.uniform(-0.1, 0.1, len(spec.state_names)),
        state_stamp_ns=seed,
        streams=(),
    )


def measure(folder: Path, threads: int, steps: int | None, chunks: int) -> tuple[float, float]:
    """Median and 99th percentile [ms] over `chunks` calls."""
    policy = NanoPolicy(folder, num_steps=steps, threads=threads)
    policy.warm_up()
    times = []
    for k in range(chunks):
        request = PolicyRequest(
            observation=observation(policy, k), prompt="put the red cube in the blue bin", seed=k
        )
        start = time.perf_counter()
        policy.infer(request)
        times.append((time.perf_counter() - start) * 1e3)
    p50, p99 = np.percentile(times, [50, 99])
    return float(p50), float(p99)


def main() -> int:
    """Run the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--policy", type=Path, default=ROOT / "checkpoints" / "nano")
    options = parser.parse_args()
    chunks = 40 if options.quick else 300
    rows, goals = [], list[Goal]()
    for threads in (1, 2):
        for steps in (None, 1, 10):
            p50, p99 = measure(options.policy, threads, steps, chunks)
            name = "own" if steps is None else str(steps)
            rows.append({"threads": threads, "Euler steps": name, "p50 ms": p50, "p99 ms": p99})
            if threads == 2 and steps is None:
                goals.append(at_most("nano, ms per chunk, p50, 2 threads", GOAL_MS, p50))
    return finish("inference", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
