"""Our network in a process of its own: `python -m benchmarks.speed.our_side FOLDER`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.answering import answer, memory, say
from benchmarks.speed.case import read
from benchmarks.speed.random_files import network_of
from vla_ros.policy.checkpoints.layouts import CheckpointFolder
from vla_ros.policy.checkpoints.vla_loading import load_weights
from vla_ros.policy.checkpoints.vla_options import VlaOptions
from vla_ros.policy.checkpoints.weights import TensorFile
from vla_ros.policy.models.linear import has_bfloat16, prepare
from vla_ros.policy.models.prefix_expert import PrefixInputs

STEPS = 10

Product = tuple[int, int, int]
"""Rows, columns in, columns out of a linear layer's product."""


def products(network: nn.Module, chunk: Callable[[], object]) -> Counter[Product]:
    """The products that one chunk is made of, and how often each is done."""
    seen: Counter[Product] = Counter()

    def note(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        rows = inputs[0].numel() // inputs[0].shape[-1]
        seen[rows, inputs[0].shape[-1], out.shape[-1]] += 1

    linear = [module for module in network.modules() if type(module).__name__.endswith("Linear")]
    hooks = [module.register_forward_hook(note) for module in linear]
    chunk()
    for hook in hooks:
        hook.remove()
    return seen


def fastest(product: Product, dtype: torch.dtype) -> float:
    """Seconds of the processor for one product: with packed weights or not, what is faster.

    Where the processor does not know bfloat16, float32 is the fastest way for both types.
    """
    rows, width, out = product
    kind = dtype if has_bfloat16() else torch.float32
    x, weight = torch.randn(rows, width).to(kind), torch.randn(out, width).to(kind)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    times = []
    for way in (
        lambda: functional.linear(x, weight),
        lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], ""),
    ):
        way()
        for _ in range(2):
            start = time.process_time()
            way()
            times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Load, then answer."""
    folder = Path(sys.argv[1])
    case = read(folder)
    torch.set_num_threads(case.threads)
    files = CheckpointFolder(
        folder=folder,
        layout="lerobot",
        config={},
        tensors=TensorFile(folder / "model.safetensors"),
        statistics={},
        norm_map={},
        eps=0.0,
        renamed={},
    )
    with torch.device("meta"):  # what torch imports for it is no part of the weights' memory
        _, parts = network_of(case)
    before, start = memory("VmRSS"), time.perf_counter()
    network = load_weights(
        lambda: network_of(case)[0],
        files,
        lambda name: name.removeprefix("model."),
        lambda have: parts,
        lambda have: set(),
        VlaOptions(dtype=case.dtype),
    )
    weights = sum(x.numel() * x.element_size() for x in network.state_dict().values())
    prepare(network)
    dtype = torch.bfloat16 if case.dtype == "bfloat16" else torch.float32
    loaded, peak = time.perf_counter() - start, memory("VmHWM") - before
    schedule = network.schedule(STEPS)
    inputs = load_file(folder / "inputs.safetensors")
    noise = inputs["noise"]

    def sample(words: Tensor) -> Tensor:
        prefix = network.encode(PrefixInputs(inputs["images"][None], words, inputs["state"]))
        return network.sample(prefix, noise, schedule)

    @torch.no_grad()
    def floor() -> float:
        done = products(network, chunk)
        return sum(fastest(product, dtype) * count for product, count in done.items())

    def chunk() -> Tensor:
        return sample(inputs["words"][:, : case.words])

    say(load_s=loaded, weights=weights, peak=peak)
    with torch.no_grad():
        sample(inputs["words"][:, :3])  # as a policy warms up: on another prompt
    answer(folder, chunk, {"floor": floor})


if __name__ == "__main__":
    main()
