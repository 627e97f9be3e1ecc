"""Real-time chunking: how a new chunk is made to continue the one being executed.

While inference runs the robot executes the plan before, so the first ``delay`` rows of the answer
are known: they are frozen. The rows after them should agree with the plan before as long as it
reaches, less and less (a soft mask), so that the answer follows the same strategy. A flow policy
gets there by pulling its estimate of the clean chunk towards the old plan at every Euler step
(Black, Galliker, Levine, 2025, "Real-Time Execution of Action Chunking Flow Policies",
arXiv:2506.07339). A policy trained with a clean prefix needs no pull: the frozen rows are simply
given (Black et al., 2025, "Training-Time Action Conditioning for Efficient Real-Time Chunking",
arXiv:2512.05964); its mask is ``hard``.

Here is the schedule only, in numpy. In the sampler, with flow time ``tau`` from 0 (noise) to 1
(data), ``x1 = x + (1 - tau) * v`` the estimate of the clean chunk, ``y`` the old plan on the new
rows and ``w`` the mask, each step uses::

    error = w * (y - x1)
    pull = error                          # jacobian "none": the network is taken as x1 = x
    pull = (d x1 / d x)^T error           # jacobian "full": as in the paper, one backward pass
    pull = yielded(error, first) * error  # jacobian "estimated": from tau = 0.5 on; "none" before
    v = v + guidance_weight(tau, max_weight) * pull

"none" bends a policy however sure of itself it is: what the last steps add stays. "estimated" sees
by how much the first half has moved the estimate (``first`` is the error at tau = 0). For Gaussian
data that is close to what the Jacobian would let pass, and it costs nothing.

In the convention where time runs from 1 (noise) to 0 (data), ``tau = 1 - t`` and ``v`` has the
other sign: ``v = v - guidance_weight(1 - t, max_weight) * pull``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Mask = Literal["exponential", "linear", "full", "hard"]
Jacobian = Literal["none", "estimated", "full"]

ESTIMATED_FROM = 0.5


def soft_mask(horizon: int, delay: int, overlap: int, mask: Mask = "exponential") -> FloatArray:
    """How much each row of a new chunk should agree with the plan before.

    1 in the ``delay`` frozen rows, falling to 0 at row ``overlap``: the paper's equation 5 with
    ``overlap = horizon - s``, where ``s`` is the number of rows executed per inference.

    Args:
        horizon: Rows T of the new chunk.
        delay: Rows of it that are due before it can take over.
        overlap: Rows of it that the plan before reaches; a larger delay is cut to this.
        mask: ``exponential`` as in the paper, ``linear``, ``full`` (1 up to ``overlap``) or
            ``hard`` (the frozen rows only).

    Returns:
        Shape (T,), in [0, 1].

    Raises:
        ValueError: A negative number of rows.
    """
    if horizon < 1 or delay < 0 or overlap < 0:
        raise ValueError(
            f"a mask needs horizon >= 1, delay >= 0 and overlap >= 0, got {horizon}, {delay} and "
            f"{overlap}"
        )
    row = np.arange(horizon)
    end = min(overlap, horizon)
    start = min(delay, end)
    if mask == "hard":
        return np.where(row < start, 1.0, 0.0)
    if mask == "full":
        return np.where(row < end, 1.0, 0.0)
    fall = np.clip((end - row) / (end - start + 1.0), 0.0, 1.0)
    if mask == "exponential":
        fall = fall * np.expm1(fall) / np.expm1(1.0)
    return np.where(row < start, 1.0, fall)


def guidance_weight(tau: float, max_weight: float) -> float:
    """Strength of the pull at flow time ``tau`` (0 noise, 1 data), at most ``max_weight``.

    ``(1 - tau) / tau / r^2`` with ``r^2 = (1 - tau)^2 / (tau^2 + (1 - tau)^2)``, unbounded at both
    ends: with few Euler steps the paper's clip (5 there) is what keeps the sampler stable.

    Raises:
        ValueError: ``tau`` outside [0, 1].
    """
    if not 0.0 <= tau <= 1.0:
        raise ValueError(f"flow time is {tau}, expected 0 (noise) to 1 (data)")
    room = tau * (1.0 - tau)
    if room == 0.0:
        return float(max_weight)
    return float(min(max_weight, (tau**2 + (1.0 - tau) ** 2) / room))


def yielded(error: FloatArray, first: FloatArray) -> FloatArray:
    """Which share of its disagreement with the plan a sample has given up, column by column.

    Args:
        error: What is left of it, weighed by the mask. Shape (T, A).
        first: What it was at flow time 0. Shape (T, A).

    Returns:
        In [0, 1]; 1 where there was none. Shape (A,).
    """
    whole = np.square(first).sum(axis=0)
    left = (error * first).sum(axis=0)
    return np.clip(1.0 - left / np.maximum(whole, np.finfo(np.float32).tiny), 0.0, 1.0)


def furthest_delay(horizon: int, trained_max: int | None = None) -> int:
    """Largest delay in rows that real-time chunking can be trusted with.

    Each inference must leave time to execute as many rows as the next one will take, so at most
    half the chunk; a checkpoint trained with a clean prefix has its own bound besides.
    """
    half = horizon // 2
    return half if trained_max is None else min(half, trained_max)
