"""How many Euler steps nano needs: distance of its chunks from the clean expert's, and time.

Frames come from expert demonstrations of scenes that no training saw; every number of steps
answers the same frames with the same noise.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness import ROOT, Goal, arguments, at_most, finish
from vla_ros.cli.collect import collect
from vla_ros.data.demos import DemoInfo, FrameArrays, open_demos
from vla_ros.policy.families.nano import NanoPolicy
from vla_ros.policy.protocol import PolicyRequest
from vla_ros.spaces import Observation
from vla_ros.train.instructions import canonical

SEED = 950_000
STEPS = (1, 2, 3, 5, 10)
CONVERGED = 10


def request(info: DemoInfo, frames: FrameArrays, k: int) -> PolicyRequest:
    """Frame k as the policy is asked live."""
    cube, place = frames.target[k]
    images = dict(zip(info.camera_keys, frames.images[k], strict=True))
    observation = Observation(
        seq=k,
        t_obs_ns=0,
        start_ns=0,
        images=images,
        image_stamps_ns=dict.fromkeys(images, 0),
        state=frames.state[k].astype(np.float64),
        state_stamp_ns=0,
        streams=(),
    )
    words = canonical(info.object_names[cube].split()[0], info.bin_names[place].split()[0])
    return PolicyRequest(observation=observation, prompt=words, seed=k)


def measure(
    folder: Path, steps: int, requests: list[PolicyRequest], labels: npt.NDArray[np.float64]
) -> dict[str, float]:
    """Errors against the expert's chunks and time per chunk."""
    policy = NanoPolicy(folder, num_steps=steps, threads=1)
    policy.warm_up()
    arm, gripper = slice(0, -1), -1
    chunks, times = [], []
    for r in requests:
        start = time.perf_counter()
        chunks.append(policy.infer(r))
        times.append((time.perf_counter() - start) * 1e3)
    error = np.stack(chunks) - labels
    per_frame = np.sqrt((error[..., arm] ** 2).mean(axis=(1, 2)))
    return {
        "Euler steps": steps,
        "arm error, median [mrad]": float(np.median(per_frame) * 1e3),
        "arm error, p90 [mrad]": float(np.percentile(per_frame, 90) * 1e3),
        "gripper wrong [%]": float((np.abs(error[..., gripper]) > 0.5).mean() * 100),
        "p50 [ms]": float(np.median(times)),
    }


def main() -> int:
    """Run the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--policy", type=Path, default=ROOT / "checkpoints" / "nano")
    options = parser.parse_args()
    episodes, most = (2, 30) if options.quick else (12, 300)
    with tempfile.TemporaryDirectory() as folder:
        collect(Path(folder), episodes, SEED, 2, None)
        demos = open_demos([folder])
        picked = np.linspace(0, len(demos) - 1, min(most, len(demos))).astype(np.int64)
        info, frames = demos.info, demos.frames(picked)
    requests = [request(info, frames, k) for k in range(len(frames))]
    labels = frames.actions.astype(np.float64)
    rows = [measure(options.policy, steps, requests, labels) for steps in STEPS]
    own = json.loads((options.policy / "config.json").read_text())["num_steps"]
    error = {row["Euler steps"]: row["arm error, median [mrad]"] for row in rows}
    goals: list[Goal] = [
        at_most(
            f"median error with the shipped {own} steps over that with {CONVERGED}",
            1.05,
            error[own] / error[CONVERGED],
        )
    ]
    return finish("Euler steps of nano", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
