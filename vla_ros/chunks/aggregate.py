"""Joining a fresh chunk to the plan still being executed.

Camera and action rates are not commensurate, so the old plan never lies on the new chunk's grid:
it is resampled there first, each kind of element in its own way, then weighed against the new one.

The ``ensemble`` weights are those of temporal ensembling (Zhao et al., 2023, "Learning Fine-Grained
Bimanual Manipulation with Low-Cost Hardware", arXiv:2304.13705): the i-th oldest prediction of an
instant counts ``exp(-m * i)``. The old plan already is such an average, so it is enough to know
what it counts in all, its standing; no history of chunks is kept.

What differs: in the paper a prediction counts in full up to its last row, and the average steps
there to what is left. Here its weight fades out over the last ``ramp_ns`` of its chunk. At instants
where no contributor is that close to its end the weights are the paper's; ``ramp_ns=0`` makes all
of them the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vla_ros.chunks.plan import Interpolation, Plan
from vla_ros.spaces.vectors import VectorSpace

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BlendWeights:
    """How much a new chunk counts against the plan in force.

    Attributes:
        kind: ``linear``: the new chunk's share grows from 0 where it takes over to 1 after
            ``ramp_ns``; it is 1 where the old plan ends before that. ``ensemble``: the share
            depends on how many chunks already met at a row; ``average``: it is ``share``.
        ramp_ns: Length of the linear ramp; in the other kinds, how long before the end of a chunk
            its weight begins to fade out. In [ns].
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
    any two grid points is kept, and outside the plan they are zero. So it is with steps, whose
    rows are displacements.

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
        if kind in ("velocity", "effort", "pose_step"):
            total = np.concatenate(([0.0], np.cumsum(values)))
            reached = np.interp(edges, np.arange(plan.horizon + 1), total)
            per_row = 1.0 if kind == "pose_step" else plan.dt_ns / dt_ns
            result[:, column] = np.diff(reached) * per_row
        elif kind != "binary":
            result[:, column] = np.interp(at, old_rows, values)
    return result


def standing(
    weights: BlendWeights, rows: int, dt_ns: int, interpolation: Interpolation
) -> FloatArray:
    """What a chunk counts by itself at each of its rows: 1, fading to 0 at its end. Shape (T,)."""
    last = rows - (interpolation == "linear")
    return _fading(dt_ns * (last - np.arange(rows)), weights.ramp_ns)


def new_share(
    weights: BlendWeights,
    due_ns: npt.NDArray[np.int64],
    from_ns: int,
    old_end_ns: int,
    old: FloatArray,
    new: FloatArray,
) -> FloatArray:
    """Share of the new chunk at each of its rows, in [0, 1]; 1 where the old plan is over.

    Args:
        weights: How to weigh.
        due_ns: Due time of the new chunk's rows. Shape (T,).
        from_ns: When the new chunk takes over, in [ns].
        old_end_ns: When the old plan ends, in [ns].
        old: Standing of the old plan at those rows. Shape (T,).
        new: Standing of the new chunk. Shape (T,).

    Returns:
        Shape (T,).
    """
    left_ns = old_end_ns - due_ns
    if weights.kind == "linear":
        # A shorter ramp would be a jump among the rows, which nobody after us can tell from what
        # the policy wants. Without one the seam is where it is known to be one, and faded there.
        ramp_ns = max(weights.ramp_ns, 1)
        if old_end_ns - from_ns < ramp_ns:
            return np.ones_like(new)
        share = np.clip((due_ns - from_ns) / ramp_ns, 0.0, 1.0)
    elif weights.kind == "average":
        share = 1.0 - (1.0 - weights.share) * _fading(left_ns, weights.ramp_ns)
    else:
        total = np.exp(weights.m) * old + new
        share = np.divide(new, total, out=np.ones_like(new), where=total > 0.0)
    return np.where(left_ns <= 0, 1.0, share)


def blend(
    new: FloatArray,
    start_ns: int,
    dt_ns: int,
    old: Plan,
    old_standing: FloatArray,
    *,
    space: VectorSpace,
    weights: BlendWeights,
    from_ns: int,
    delay_ns: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Average a new chunk with the plan in force, on the new chunk's grid.

    Binary elements are never averaged: the newest wins.

    Args:
        new: The new chunk. Shape (T, A).
        start_ns: Due time of its row 0, in [ns].
        dt_ns: Its step, in [ns].
        old: The plan in force.
        old_standing: What it counts at each of its rows. Shape (T_old,).
        space: Meaning of the columns.
        weights: How to weigh.
        from_ns: When the new chunk takes over, in [ns].
        delay_ns: How much later than its stamps the old plan is being executed, in [ns].

    Returns:
        The blended chunk, shape (T, A), and what it counts at each of its rows, shape (T,).
    """
    rows = len(new)
    due_ns = start_ns + dt_ns * np.arange(rows, dtype=np.int64)
    old_end_ns = old.end_ns + delay_ns
    at = (due_ns - old.start_ns - delay_ns) / old.dt_ns
    counts = np.interp(at, np.arange(old.horizon), old_standing) * (due_ns < old_end_ns)
    own = standing(weights, rows, dt_ns, old.interpolation)
    share = new_share(weights, due_ns, from_ns, old_end_ns, counts, own)[:, None]
    there = resample(old, space, start_ns, dt_ns, rows, delay_ns)
    blended = share * new + (1.0 - share) * there
    newest = space.mask("binary")
    blended[:, newest] = new[:, newest]
    return blended, np.exp(weights.m) * counts + own


def _fading(left_ns: npt.NDArray[np.int64], ramp_ns: int) -> FloatArray:
    """1, going smoothly to 0 while the last ``ramp_ns`` of ``left_ns`` pass."""
    u = np.clip(left_ns / max(ramp_ns, 1), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)
