"""A computation traced once and repeated by TorchScript, so that a CPU does not wait for Python.

A small network is a thousand small steps; half of its time goes by between them. TorchScript runs
the same kernels one after another and answers bit by bit the same. Torch calls tracing deprecated,
but what it offers instead is slower here (``torch.export``) or needs a compiler on the robot
(``torch.compile``); without tracing the function is called as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WARM_UPS = 3
"""Calls until the interpreter has settled."""


class Traced:
    """A function of tensors, traced at its first call; later ones must have the same shapes.

    Args:
        function: Without side effects, and without a look at its inputs' values from Python.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._run: Callable[..., Any] | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The function's answer."""
        if self._run is None:
            self._run = self._traced(inputs)
        out: Tensor = self._run(*inputs)
        return out

    def _traced(self, inputs: tuple[Tensor, ...]) -> Callable[..., Any]:
        trace: Any = getattr(torch.jit, "trace", None)
        if trace is None:
            return self._function
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its age, and of shapes that become constants
            traced: Callable[..., Any] = trace(self._function, inputs, check_trace=False)
        return traced
