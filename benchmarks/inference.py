"""Time per chunk on this machine: nano, SmolVLA and pi0, beside LeRobot's own code.

SmolVLA and pi0 have their real sizes, random weights and preprocessed inputs. With `--peer-python`
LeRobot's network computes the same chunk from the same file of weights, in its own environment, by
turns with ours; `benchmarks/speed/lerobot_side.py` says what that environment holds. The floor is
the time of the linear layers' bare products, the fastest of several ways on this machine.
SmolVLA's and pi0's times are those of the processor, the least of all rounds: with one thread and
nothing beside it they are the clock's. nano's are the clock's, the median.

    first    the first chunk after the warm-up over the median of the others
    peak     most memory while loading over that of the weights
    cosine   of our chunk and LeRobot's
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks.harness import ROOT, Goal, arguments, at_least, at_most, finish
from benchmarks.speed import case as cases
from benchmarks.speed.case import Case
from benchmarks.speed.random_files import file_shapes, write_inputs, write_weights
from vla_ros.policy.families.nano import NanoPolicy
from vla_ros.policy.protocol import PolicyRequest
from vla_ros.spaces import Observation

NANO_MS = 15.0  # per chunk, at the checkpoint's own number of steps, 2 threads
TIMES_LEROBOT = {"smolvla": 2.0, "pi0": 1.6}  # in bfloat16
COSINE = 0.999  # of a bfloat16 chunk to the float32 one
PEAK = 1.15  # most memory while loading, in weights
COLUMNS: dict[str, Any] = {
    "network": "",
    "type": "float32",
    "threads": 1,
    "ours ms": "",
    "worst ms": "",
    "floor ms": "",
    "LeRobot ms": "",
    "faster": "",
    "cosine": "",
    "first": "",
    "peak": "",
}
FIRST = 1.2  # first chunk after the warm-up, in chunks; a tenth of it is this machine's noise


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


def nano(folder: Path, threads: int, steps: int | None, chunks: int) -> dict[str, Any]:
    """Milliseconds of the clock over `chunks` calls."""
    policy = NanoPolicy(folder, num_steps=steps, threads=threads)
    policy.to(torch.device("cpu"))
    policy.warm_up()
    times = []
    for k in range(chunks):
        request = PolicyRequest(
            observation=observation(policy, k), prompt="put the red cube in the blue bin", seed=k
        )
        start = time.perf_counter()
        policy.infer(request)
        times.append((time.perf_counter() - start) * 1e3)
    return {
        **COLUMNS,
        "network": f"nano, {steps or 'its own'} steps",
        "threads": threads,
        "ours ms": median(times),
        "worst ms": max(times),
        "first": times[0] / median(times[1:]),
    }


class Side:
    """A process that computes chunks when asked."""

    def __init__(self, python: str, module: str, folder: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [python, "-m", f"benchmarks.speed.{module}", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.loaded = self._answer()

    def ask(self, word: str) -> float:
        """Milliseconds of the processor for what the word means."""
        assert self._process.stdin is not None  # it is a pipe
        print(word, file=self._process.stdin, flush=True)
        return 1e3 * float(self._answer()["cpu_s"])

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None  # it is a pipe
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, float] = json.loads(line)
                return answer
        raise SystemExit(f"{self._process.args} ended with {self._process.wait()}")

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextmanager
def sides(folder: Path, peer: str | None) -> Iterator[dict[str, Side]]:
    """Our process and, where there is one, LeRobot's."""
    started: dict[str, Side] = {}
    try:
        started["ours"] = Side(sys.executable, "our_side", folder)
        if peer is not None:
            started["LeRobot"] = Side(peer, "lerobot_side", folder)
        yield started
    finally:
        for side in started.values():
            side.end()


def compare(case: Case, folder: Path, peer: str | None, rounds: int) -> dict[str, Any]:
    """Times per chunk of both sides, by turns, and of the bare products."""
    numbers = sum(int(np.prod(shape)) for shape in file_shapes(case).values())
    needed = 1.2e-9 * numbers * (4 if case.dtype == "float32" else 2) * (1 if peer is None else 2)
    free = 1e-9 * psutil.virtual_memory().available
    row = {**COLUMNS, "network": case.name, "type": case.dtype, "threads": case.threads}
    if needed > free:
        return row | {"ours ms": f"{needed:.0f} GB?"}
    case.write(folder)
    with sides(folder, peer) as asked:
        times: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(rounds):
            for name, side in asked.items():
                times[name].append(side.ask(f"{name}-{case.dtype}.pt"))
        floor = asked["ours"].ask("floor")
        loaded = asked["ours"].loaded
    best = {name: min(values) for name, values in times.items()}
    row |= {
        "ours ms": best["ours"],
        "worst ms": max(times["ours"]),
        "floor ms": floor,
        "first": times["ours"][0] / median(times["ours"][1:]) if rounds > 1 else "",
        "peak": loaded["peak"] / loaded["weights"],
    }
    if peer is not None:
        row |= {"LeRobot ms": best["LeRobot"], "faster": best["LeRobot"] / best["ours"]}
        row["cosine"] = cosine(folder, f"ours-{case.dtype}", f"LeRobot-{case.dtype}")
    return row


def cosine(folder: Path, one: str, other: str) -> float | None:
    """Of two chunks, where both are there."""
    paths = [folder / f"{name}.pt" for name in (one, other)]
    if not all(path.is_file() for path in paths):
        return None
    a, b = (torch.load(path).double().flatten() for path in paths)
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


def family(cases_: list[Case], peer: str | None, rounds: int) -> tuple[list[Any], list[Goal]]:
    """All types of one network, which share a file of weights."""
    rows, goals = [], list[Goal]()
    with tempfile.TemporaryDirectory(prefix="vla_ros_speed_") as name:
        folder = Path(name)
        write_weights(cases_[0], folder / "model.safetensors")
        write_inputs(cases_[0], folder / "inputs.safetensors")
        rows = [compare(case, folder, peer, rounds) for case in cases_]
        for case, row in zip(cases_, rows, strict=True):
            if row["floor ms"]:
                goals += goals_of(case, row)
        near = cosine(folder, "ours-bfloat16", "ours-float32")
    if near is not None:
        goals.append(at_least(f"{cases_[0].name}: cosine, bfloat16 to float32", COSINE, near))
    return rows, goals


def goals_of(case: Case, row: dict[str, Any]) -> list[Goal]:
    """What a row must reach."""
    goals = []
    name = f"{case.name}, {case.dtype}"
    if row["faster"] and case.dtype == "bfloat16":
        bound = TIMES_LEROBOT[case.family]
        goals.append(at_least(f"{name}: times as fast as LeRobot", bound, row["faster"]))
    if row["first"]:
        goals.append(at_most(f"{name}: first chunk over the others", FIRST, row["first"]))
    if case.share == 1:  # the largest matrix, there twice for a moment, is as large in a share
        goals.append(at_most(f"{name}: most memory while loading / weights", PEAK, row["peak"]))
    return goals


def main() -> int:
    """Run the tables."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--policy", type=Path, default=ROOT / "checkpoints" / "nano")
    parser.add_argument("--peer-python", help="Python of an environment with LeRobot 0.4.4")
    parser.add_argument("--only", nargs="*", help="nano, smolvla, pi0; --quick: not pi0")
    parser.add_argument("--rounds", type=int, help="chunks of SmolVLA and pi0")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 3)
    quick: bool = options.quick
    only = options.only or ["nano", "smolvla", *([] if quick else ["pi0"])]
    rows, goals = list[dict[str, Any]](), list[Goal]()
    if "nano" in only:
        for threads in (1, 2):
            for steps in (None, 1, 10):
                rows.append(nano(options.policy, threads, steps, 40 if quick else 300))
                if threads == 2 and steps is None:
                    goals.append(
                        at_most("nano, ms per chunk, 2 threads", NANO_MS, rows[-1]["ours ms"])
                    )
    both = ("bfloat16", "float32")
    table = {
        "smolvla": [cases.smolvla(dtype, 8 if quick else 1) for dtype in both],
        "pi0": [cases.pi0(dtype, 9 if quick else 1) for dtype in both],
    }
    for name in ("smolvla", "pi0"):
        if name in only:
            more, reached = family(table[name], options.peer_python, rounds)
            rows, goals = rows + more, goals + reached
    return finish("inference", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
