"""Memory over 10,000 inferences of the families and of `vla serve`, on tiny weights: it stays flat.

nano has its own weights. A served policy's memory is that of the server and its client together.
pi0-FAST has learned a chunk by heart, because what an untrained one says is none.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import psutil
import torch
import yaml

from benchmarks.harness import ROOT, Goal, arguments, at_most, finish
from vla_ros.policy.families import groot
from vla_ros.policy.load import load_policy
from vla_ros.policy.protocol import Policy, PolicyRequest
from vla_ros.policy.remote.blank import blank_request

GOLDEN = ROOT / "test" / "golden"
NANO = ROOT / "checkpoints" / "nano"
GROWTH = 0.01  # of the memory after the first tenth
STEP_NS = 50_000_000

Asked = tuple[Policy, PolicyRequest]


def tiny(name: str, folder: Path, **options: object) -> Path:
    """A declaration of a tiny checkpoint; two Euler steps, as memory does not depend on them."""
    checkpoint = GOLDEN / name / "checkpoint"
    declared = yaml.safe_load((checkpoint / "vla.yaml").read_text())
    declared["options"] |= {"num_steps": 2, **options}
    path = folder / f"{name}{len(options)}.yaml"
    path.write_text(yaml.safe_dump({**declared, "checkpoint": str(checkpoint)}))
    return path


def soak(policy: Policy, request: PolicyRequest, count: int) -> tuple[float, float, float]:
    """Memory after a tenth and at the end [MB], and the mean time of an inference [ms]."""
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


def blank(source: str | Path) -> Asked:
    """A policy, asked about blank input."""
    policy = load_policy(str(source), threads=1)
    return policy, blank_request(policy.spec)


def act(folder: Path) -> Asked:
    """ACT with random weights."""
    from test_act_policy import CONFIG, MODES, SIZES, Act, ActSizes, write_checkpoint

    network = Act(ActSizes(state_dim=3, action_dim=3, backbone_width=2, **SIZES))
    write_checkpoint(folder, network, "model.", dict(CONFIG), MODES)
    return blank(folder)


def diffusion(folder: Path) -> Asked:
    """Diffusion Policy with random weights."""
    from test_diffusion_policy import write

    return blank(write(folder, noise_scheduler_type="DDIM", num_inference_steps=2))


def pi0_fast(folder: Path) -> Asked:
    """pi0-FAST that has learned what it is asked."""
    from paligemma_checkpoints import taught_by_heart, tiny_paligemma, two_requests, write_pi0_fast

    policy, _ = taught_by_heart(write_pi0_fast(folder, tiny_paligemma()))
    policy.to(torch.device("cpu"))
    return policy, two_requests(policy)[0]


def action_tokens(folder: Path) -> Asked:
    """A tiny LLaVA whose words are all actions."""
    from test_action_tokens import write_llava

    write_llava(folder)
    return blank(folder)


def groot_head(folder: Path) -> Asked:
    """GR00T's head over a stand-in for its backbone."""
    from test_groot_policy import offers, write_groot

    with patch.object(groot, "entry_points", offers):
        return blank(write_groot(folder))


def behind_serve(servers: ExitStack) -> Asked:
    """A server of nano, which runs until ``servers`` is closed."""
    from serving import serving

    return blank(servers.enter_context(serving("--policy", str(NANO), "--threads=1")))


def makers(folder: Path, servers: ExitStack) -> dict[str, Callable[[], Asked]]:
    """How each row's policy is made."""
    pi0s = {name: partial(blank, tiny(name, folder)) for name in ("pi0", "pi05", "smolvla")}
    return {
        "nano": partial(blank, NANO),
        **pi0s,
        "pi0, two paces": partial(blank, tiny("pi0", folder, dual={"period_s": 0.5})),
        "pi0_fast": partial(pi0_fast, folder / "pi0_fast"),
        "act": partial(act, folder / "act"),
        "diffusion": partial(diffusion, folder / "diffusion"),
        "action tokens": partial(action_tokens, folder / "tokens"),
        "GR00T's head": partial(groot_head, folder / "groot"),
        "nano behind vla serve": partial(behind_serve, servers),
    }


def main() -> int:
    """Run the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", nargs="*", help="names of rows")
    parser.add_argument("--count", type=int, help="inferences of each")
    options = parser.parse_args()
    count = options.count or (100 if options.quick else 10_000)
    sys.path[:0] = [str(ROOT / "test" / "unit" / part) for part in ("models", "serve")]
    torch.set_num_threads(1)
    rows, goals = [], list[Goal]()
    with tempfile.TemporaryDirectory() as place, ExitStack() as servers:
        for name, make in makers(Path(place), servers).items():
            if options.only and name not in options.only:
                continue
            policy, request = make()
            first, last, mean_ms = soak(policy, request, count)
            policy.close()
            rows.append(
                {"family": name, "inferences": count, "MB after a tenth": first, "MB": last}
                | {"mean ms": mean_ms}
            )
            goals.append(at_most(f"{name}, growth of memory", GROWTH, last / first - 1.0))
    return finish("soak", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
