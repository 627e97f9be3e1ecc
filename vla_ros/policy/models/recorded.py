"""A computation recorded once and repeated, so that a GPU does not wait for Python.

A CUDA graph reads and writes the same memory each time. So the inputs are copied into tensors of
its own, there is one recording for every combination of shapes, and the answer is copied out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Repeat = Callable[[], None]
"""Computes once more what was recorded, in place."""

Record = Callable[[Callable[[], Tensor]], tuple[Repeat, Tensor]]
"""Takes a computation; answers with how to repeat it, and where its answer lies."""

_WARM_UPS = 3
"""Runs before a recording, in which libraries choose kernels and take their memory."""


def cuda_graph(compute: Callable[[], Tensor]) -> tuple[Repeat, Tensor]:
    """Record a computation on the current GPU."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UPS):
            compute()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = compute()
    return graph.replay, out


class Recorded:
    """A function of tensors, recorded at its first call with each combination of shapes.

    Args:
        function: Without side effects, and without a look at its inputs' values from Python.
        record: How; a GPU's graph.
        most: Recordings that are kept; the oldest goes first.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        *,
        record: Record = cuda_graph,
        most: int = 8,
    ) -> None:
        self._function = function
        self._record = record
        self._most = most
        self._kept: dict[object, tuple[list[Tensor | None], Repeat, Tensor]] = {}

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        """The function's answer to tensors of the GPU's."""
        key = tuple(None if x is None else (x.shape, x.dtype) for x in inputs)
        if key not in self._kept:
            if len(self._kept) == self._most:
                self._kept.pop(next(iter(self._kept)))
            own = [None if x is None else x.clone() for x in inputs]
            self._kept[key] = (own, *self._record(lambda: self._function(*own)))
        own, repeat, out = self._kept[key]
        for mine, given in zip(own, inputs, strict=True):
            if mine is not None and given is not None:
                mine.copy_(given)
        repeat()
        return out.clone()
