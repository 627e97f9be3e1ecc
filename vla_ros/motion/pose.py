"""Poses to rest at, and the way to one from whatever the group is doing.

Axis letters: N joints, n samples.
"""

from __future__ import annotations

import numpy as np

from vla_ros.motion.guard import stoppable, violation
from vla_ros.motion.limits import FloatArray, MotionLimits, MotionRefused, checked_vector
from vla_ros.motion.ruckig_moves import Mover

SHORTEST_PERIODS = 2.0


def checked_pose(q: FloatArray, limits: MotionLimits) -> FloatArray:
    """The pose as a fresh float64 vector of shape (N,).

    Raises:
        MotionRefused: Malformed, or outside the limits.
    """
    target = checked_vector("The pose to go to", q, limits.size)
    if (target < limits.lower).any() or (target > limits.upper).any():
        raise MotionRefused(
            f"The pose to go to must be between {limits.lower.tolist()} and "
            f"{limits.upper.tolist()}, got {target.tolist()}."
        )
    return target


def way_to_pose(
    state: FloatArray,
    target: FloatArray,
    quick: Mover,
    slow: Mover,
    period_s: float,
    limits: MotionLimits,
) -> FloatArray:
    """Directly where the limits allow that, else to rest first.

    A move takes at least two periods: a shorter one would turn its jerk round three times between
    two samples, and a quintic through these would exceed it more than twice.

    Args:
        state: Commanded position, velocity, acceleration. Shape (3, N).
        target: Position to rest at. Shape (N,).
        quick: Plans the stop.
        slow: Plans the move, within a fraction of the limits.
        period_s: Time between samples, in [s].
        limits: What every sample obeys.

    Returns:
        Samples of the control grid, the last one at rest. Shape (3, n, N).

    Raises:
        MotionRefused: Ruckig finds no way.
    """
    goal = np.stack([target, 0.0 * target, 0.0 * target])
    shortest_s = SHORTEST_PERIODS * period_s
    move = slow.to(state, goal, shortest_s)
    if move is not None:
        samples = move.on_grid(period_s)
        if not violation(samples, period_s, limits) and stoppable(samples, limits).all():
            return samples
    brake = quick.stop(state).on_grid(period_s)
    move = slow.to(brake[:, -1], goal, shortest_s)
    if move is None:
        raise MotionRefused(f"Ruckig finds no way to {target.tolist()}.")
    return np.concatenate([brake[:, :-1], move.on_grid(period_s)], axis=1)
