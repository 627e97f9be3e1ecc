"""Memory over 10,000 inferences of the families and of `vla serve`, on tiny weights: it stays flat.

nano has its own weights. A served policy's memory is that of the server and its client together.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import yaml

from benchmarks.harness import ROOT, Goal, arguments, at_most, finish
from vla_ros.policy.load import load_policy
from vla_ros.policy.protocol import Policy
from vla_ros.policy.remote.blank import blank_request

GOLDEN = ROOT / "test" / "golden"
GROWTH = 0.01  # of the memory after the first tenth
STEP_NS = 50_000_000


def tiny(name: str, folder: Path, **options: object) -> Path:
    """A declaration of a tiny checkpoint; two Euler steps, as memory does not depend on them."""
    checkpoint = GOLDEN / name / "checkpoint"
    declared = yaml.safe_load((checkpoint / "vla.yaml").read_text())
    declared["options"] |= {"num_steps": 2, **options}
    path = folder / f"{name}{len(options)}.yaml"
    path.write_text(yaml.safe_dump({**declared, "checkpoint": str(checkpoint)}))
    return path


def soak(policy: Policy, count: int) -> tuple[float, float, float]:
    """Memory after a tenth and at the end [MB], and the mean time of an inference [ms]."""
    request = blank_request(policy.spec)
    policy.warm_up()
    begin, first = time.perf_counter(), 0.0
    for k in range(count):
        observation = replace(request.observation, seq=k, t_obs_ns=k * STEP_NS)
        policy.infer(replace(request, observation=observation, seed=k))
        if k == count // 10:
            first = memory_mb()
    mean_ms = (time.perf_counter() - begin) / count * 1e3
    return first, memory_mb(), mean_ms


def memory_mb() -> float:
    """Of this process and those that it started."""
    process = psutil.Process()
    everybody = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in everybody) / 1e6


def sources(folder: Path, servers: ExitStack) -> Iterator[tuple[str, str]]:
    """Each policy's name and source; a server runs until ``servers`` is closed."""
    sys.path[:0] = [str(ROOT / "test" / "unit" / part) for part in ("models", "serve")]
    from serving import serving
    from test_act_policy import CONFIG, MODES, SIZES, Act, ActSizes, write_checkpoint
    from test_diffusion_policy import write

    nano = str(ROOT / "checkpoints" / "nano")
    yield "nano", nano
    for name in ("pi0", "pi05", "smolvla"):
        yield name, str(tiny(name, folder))
    yield "pi0, two paces", str(tiny("pi0", folder, dual={"period_s": 0.5}))
    act = Act(ActSizes(state_dim=3, action_dim=3, backbone_width=2, **SIZES))
    write_checkpoint(folder / "act", act, "model.", dict(CONFIG), MODES)
    yield "act", str(folder / "act")
    steps = {"noise_scheduler_type": "DDIM", "num_inference_steps": 2}
    yield "diffusion", str(write(folder / "diffusion", **steps))
    yield "nano behind vla serve", servers.enter_context(serving("--policy", nano, "--threads=1"))


def main() -> int:
    """Run the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", help="name of one row")
    options = parser.parse_args()
    count = 500 if options.quick else 10_000
    rows, goals = [], list[Goal]()
    with tempfile.TemporaryDirectory() as place, ExitStack() as servers:
        for name, source in sources(Path(place), servers):
            if options.only and options.only != name:
                continue
            policy = load_policy(source, threads=1)
            first, last, mean_ms = soak(policy, count)
            policy.close()
            rows.append(
                {"family": name, "inferences": count, "MB after a tenth": first, "MB": last}
                | {"mean ms": mean_ms}
            )
            goals.append(at_most(f"{name}, growth of memory", GROWTH, last / first - 1.0))
    return finish("soak", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
