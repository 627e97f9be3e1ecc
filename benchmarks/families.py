"""Time of a chunk of ACT, Diffusion Policy, GR00T's head and pi0-FAST: published sizes, 1 thread.

Weights are random. The time is the processor's, the least of all runs: with nothing beside it, it
is the clock's. nano, SmolVLA and pi0 are in `benchmarks inference`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from benchmarks.harness import arguments, finish
from vla_ros.policy.families.pi0 import GEMMA, SO400M
from vla_ros.policy.models.act import Act
from vla_ros.policy.models.act_layers import ActSizes
from vla_ros.policy.models.diffusion import Diffusion, DiffusionSizes, condition_dim
from vla_ros.policy.models.diffusion_noise import NoiseSchedule, kept_share, squared_cosine
from vla_ros.policy.models.diffusion_unet import UnetSizes
from vla_ros.policy.models.groot import GrootHead, GrootSizes
from vla_ros.policy.models.linear import prepare
from vla_ros.policy.models.paligemma import PaliGemmaSizes
from vla_ros.policy.models.pi0_fast import DecodingError, Pi0Fast
from vla_ros.policy.models.prefix_expert import PrefixInputs

JOINTS, CAMERAS, WORDS = 14, 2, 60
TOKENS = 20
SEEN = 300  # tokens of GR00T's backbone: two cameras and a prompt
CUT = 18  # of the layers of pi0-FAST, and as much less of its word table, with --quick

Row = dict[str, str | int | float]
Network = TypeVar("Network", bound=nn.Module)


def fastest(work: Callable[[], object], times: int) -> float:
    """Milliseconds of the quickest of several runs, after one that does not count."""
    work()
    best = float("inf")
    for _ in range(times):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best * 1e3


def act(times: int) -> Iterator[Row]:
    """LeRobot's sizes; images of 480 x 640."""
    network = Act(ActSizes(state_dim=JOINTS, action_dim=JOINTS, chunk_size=100))
    network.eval()
    images, state = torch.rand(1, CAMERAS, 3, 480, 640), torch.rand(1, JOINTS)
    yield {
        "family": "act, 100 rows",
        "ms": fastest(lambda: network(images, state), times),
        "of": "chunk",
    }


def diffusion(times: int) -> Iterator[Row]:
    """LeRobot's sizes; images of 96 x 96, cut to 84 x 84; 2 observations."""
    width = condition_dim(state_dim=JOINTS, cameras=CAMERAS, n_obs_steps=2, keypoints=32)
    sizes = DiffusionSizes(
        state_dim=JOINTS,
        cameras=CAMERAS,
        n_obs_steps=2,
        crop_shape=(84, 84),
        use_separate_rgb_encoder_per_camera=False,
        spatial_softmax_num_keypoints=32,
        use_group_norm=True,
        vision_backbone="resnet18",
        backbone_width=64,
        unet=UnetSizes(action_dim=JOINTS, condition_dim=width),
    )
    network = Diffusion(sizes)
    network.eval()
    images, state = torch.rand(1, 2, CAMERAS, 3, 96, 96), torch.rand(1, 2, JOINTS)
    schedule = NoiseSchedule(kept=kept_share(squared_cosine(100)), prediction="epsilon", clip=1.0)
    noise = torch.randn(1, 16, JOINTS)

    def chunk() -> torch.Tensor:
        condition = network.condition(images, state)
        return schedule.sample(
            lambda x, at: network.unet(x, torch.full((1,), at), condition),
            noise,
            sampler="DDIM",
            steps=10,
            draw=lambda: noise,
        )

    yield {"family": "diffusion, DDIM of 10 steps", "ms": fastest(chunk, times), "of": "chunk"}


def groot(times: int) -> Iterator[Row]:
    """N1.5's head in float32, 4 steps; its backbone is not ours."""
    sizes = GrootSizes()
    head = empty(lambda: GrootHead(sizes))
    features, body = torch.randn(1, SEEN, sizes.backbone_dim), torch.zeros(1, dtype=torch.int64)
    state = torch.randn(1, 1, sizes.state_dim)
    noise = torch.randn(1, sizes.horizon, sizes.action_dim)

    def chunk() -> torch.Tensor:
        return head.sample(head.encode(features, state, body), noise)

    yield {"family": "GR00T N1.5's head, float32", "ms": fastest(chunk, times), "of": "chunk"}


def empty(make: Callable[[], Network]) -> Network:
    """A network with small random weights, without the time that its own beginning takes."""
    with torch.device("meta"):
        network = make()
    network.to_empty(device="cpu")
    for weight in network.parameters():
        weight.data.uniform_(-0.02, 0.02)
    return network.eval()


def pi0_fast(times: int, cut: int) -> Iterator[Row]:
    """PaliGemma in bfloat16; the layers of language and vision, and the words, cut."""
    sizes = PaliGemmaSizes(
        vision=replace(SO400M, layers=SO400M.layers // cut),
        language=replace(GEMMA["gemma_2b"], layers=GEMMA["gemma_2b"].layers // cut),
        words=257_152 // cut,
    )
    network = empty(lambda: Pi0Fast(sizes).bfloat16())
    prepare(network)
    inputs = PrefixInputs(
        torch.rand(1, CAMERAS, 3, 224, 224),
        torch.randint(0, sizes.words, (1, WORDS)),
        torch.zeros(1, 32),
    )

    def say(tokens: int) -> None:
        try:
            network.decode(inputs, stop=frozenset(), longest=tokens)
        except DecodingError:
            return  # it is not meant to end

    first, more = fastest(lambda: say(1), times), fastest(lambda: say(1 + TOKENS), times)
    part = "" if cut == 1 else f", 1/{cut} of its layers and words"
    name = f"pi0_fast, bfloat16{part}"
    yield {"family": name, "ms": first, "of": "prefix and first token"}
    yield {"family": name, "ms": (more - first) / TOKENS, "of": "token"}


def main() -> int:
    """Run the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", nargs="*", default=["act", "diffusion", "groot", "pi0_fast"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    times = 1 if options.quick else 5
    cut = CUT if options.quick else 1
    with torch.no_grad():
        made = {
            "act": lambda: act(times),
            "diffusion": lambda: diffusion(times),
            "groot": lambda: groot(times),
            "pi0_fast": lambda: pi0_fast(times, cut),
        }
        rows = [row for name in options.only for row in made[name]()]
    return finish("families", rows, [], options.json)


if __name__ == "__main__":
    sys.exit(main())
