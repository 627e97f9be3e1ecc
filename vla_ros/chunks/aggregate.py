"""Joining a fresh chunk to the plan still being executed.

Camera and action rates are not commensurate, so the old plan never lies on the new chunk's grid:
it is resampled there first, each kind of element in its own way, then weighed against the new one.

The ``ensemble`` weights are those of temporal ensembling (Zhao et al., 2023, "Learning Fine-Grained
Bimanual Manipulation with Low-Cost Hardware", arXiv:2304.13705): the i-th oldest prediction of an
instant counts ``exp(-m * i)``. The old plan already is such an average of ``n`` chunks, so the
newest one's share is ``w_n / (w_0 + ... + w_n)`` and no history of chunks is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vla_ros.chunks.plan import Plan
from vla_ros.spaces.vectors import VectorSpace

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BlendWeights:
    """How much a new chunk counts against the plan in force.

    Attributes:
        kind: ``linear``: the new chunk's share grows from 0 where it takes over to 1 after
            ``ramp_ns``, or at the end of the overlap where that comes first; ``ensemble``: the
            share depends on how many chunks already met at a row; ``average``: it is ``share``.
        ramp_ns: Length of the linear ramp in [ns].
        m: Decay of ``ensemble``: larger values trust old chunks more.
        share: Of the new chunk in ``average``; 1 takes the newest only.
    """

    kind: Literal["linear", "ensemble", "average"] = "linear"
    ramp_ns: int = 200_000_000
    m: float = 0.01
    share: float = 0.7


def resample(
    plan: Plan, space: VectorSpace, start_ns: int, dt_ns: int, rows: int, delay_ns: int = 0
) -> FloatArray:
    """Read a plan on another grid.

    Positions are interpolated linearly, also for a plan that holds its rows (between two grids of
    similar step, holding would only add jitter), and stay at the first or last row outside the
    plan. Binary elements take the row that acts at the instant. Velocities are integrals: each new
    row is the mean of the old velocity over the new row's interval, so the displacement between
    any two grid points is kept, and outside the plan they are zero.

    Args:
        plan: The plan to read.
        space: Meaning of its columns.
        start_ns: Due time of the new grid's row 0, in [ns].
        dt_ns: Step of the new grid, in [ns].
        rows: Number of rows to read.
        delay_ns: How much later than its stamps the plan is being executed, in [ns].

    Returns:
        Shape (rows, A).
    """
    old_rows = np.arange(plan.horizon)
    at = (start_ns - plan.start_ns - delay_ns + dt_ns * np.arange(rows)) / plan.dt_ns
    held = plan.actions[np.clip(np.floor(at).astype(np.int64), 0, plan.horizon - 1)]
    result = np.array(held)
    edges = np.append(at, at[-1] + dt_ns / plan.dt_ns)
    for column, kind in enumerate(space.kinds):
        values = plan.actions[:, column]
        if kind in ("velocity", "effort"):
            total = np.concatenate(([0.0], np.cumsum(values)))
            reached = np.interp(edges, np.arange(plan.horizon + 1), total)
            result[:, column] = np.diff(reached) * plan.dt_ns / dt_ns
        elif kind != "binary":
            result[:, column] = np.interp(at, old_rows, values)
    return result


def new_share(
    weights: BlendWeights,
    due_ns: npt.NDArray[np.int64],
    from_ns: int,
    old_end_ns: int,
    merged: npt.NDArray[np.int64],
) -> FloatArray:
    """Share of the new chunk at each of its rows, in [0, 1]; 1 where the old plan is over.

    Args:
        weights: How to weigh.
        due_ns: Due time of the new chunk's rows. Shape (T,).
        from_ns: When the new chunk takes over, in [ns].
        old_end_ns: When the old plan ends, in [ns].
        merged: How many chunks the old plan is an average of, at each of those rows. Shape (T,).

    Returns:
        Shape (T,).
    """
    if weights.kind == "linear":
        ramp_ns = max(1, min(weights.ramp_ns, old_end_ns - from_ns))
        share = np.clip((due_ns - from_ns) / ramp_ns, 0.0, 1.0)
    elif weights.kind == "average":
        share = np.full(len(due_ns), weights.share)
    else:
        oldest_first = np.exp(-weights.m * np.arange(int(merged.max(initial=1)) + 1))
        share = (oldest_first / np.cumsum(oldest_first))[merged]
    return np.where(due_ns >= old_end_ns, 1.0, share)


def blend(
    new: FloatArray,
    start_ns: int,
    dt_ns: int,
    old: Plan,
    old_merged: npt.NDArray[np.int64],
    *,
    space: VectorSpace,
    weights: BlendWeights,
    from_ns: int,
    delay_ns: int = 0,
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Average a new chunk with the plan in force, on the new chunk's grid.

    Binary elements are never averaged: the newest wins.

    Args:
        new: The new chunk. Shape (T, A).
        start_ns: Due time of its row 0, in [ns].
        dt_ns: Its step, in [ns].
        old: The plan in force.
        old_merged: How many chunks each of its rows is an average of. Shape (T_old,).
        space: Meaning of the columns.
        weights: How to weigh.
        from_ns: When the new chunk takes over, in [ns].
        delay_ns: How much later than its stamps the old plan is being executed, in [ns].

    Returns:
        The blended chunk, shape (T, A), and how many chunks met at each of its rows, shape (T,).
    """
    rows = len(new)
    due_ns = start_ns + dt_ns * np.arange(rows, dtype=np.int64)
    old_end_ns = old.end_ns + delay_ns
    at = np.round((due_ns - old.start_ns - delay_ns) / old.dt_ns).astype(np.int64)
    merged = old_merged[np.clip(at, 0, old.horizon - 1)]
    share = new_share(weights, due_ns, from_ns, old_end_ns, merged)[:, None]
    there = resample(old, space, start_ns, dt_ns, rows, delay_ns)
    blended = share * new + (1.0 - share) * there
    newest = space.mask("binary")
    blended[:, newest] = new[:, newest]
    return blended, np.where(due_ns >= old_end_ns, 1, merged + 1)
