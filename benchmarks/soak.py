"""Memory over 10,000 inferences of each family, on tiny weights: it must stay flat."""

from __future__ import annotations

import sys
import tempfile
import time
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
    process, request = psutil.Process(), blank_request(policy.spec)
    policy.warm_up()
    begin, first = time.perf_counter(), 0.0
    for k in range(count):
        observation = replace(request.observation, seq=k, t_obs_ns=k * STEP_NS)
        policy.infer(replace(request, observation=observation, seed=k))
        if k == count // 10:
            first = process.memory_info().rss / 1e6
    mean_ms = (time.perf_counter() - begin) / count * 1e3
    return first, process.memory_info().rss / 1e6, mean_ms


def main() -> int:
    """Run the table."""
    options = arguments(__doc__ or "").parse_args()
    count = 500 if options.quick else 10_000
    rows, goals = [], list[Goal]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sources = {
            "nano": ROOT / "checkpoints" / "nano",
            **{name: tiny(name, folder) for name in ("pi0", "pi05", "smolvla")},
            "pi0, two paces": tiny("pi0", folder, dual={"period_s": 0.5}),
        }
        for name, source in sources.items():
            policy = load_policy(str(source), threads=1)
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
