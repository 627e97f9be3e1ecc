"""The rolling window: a piece of the commanded curve that ends in a brake.

Axis letters: N joints, P points.
"""

from __future__ import annotations

import math

import numpy as np

from vla_ros.motion.ruckig_moves import Mover
from vla_ros.motion.setpoint import TrajectoryWindow
from vla_ros.motion.timeline import Timeline


def window_of(
    line: Timeline, mover: Mover, now_ns: int, lookahead_ns: int, spacing_ns: int
) -> tuple[TrajectoryWindow, int]:
    """Points of the commanded curve every ``spacing_ns``, then a brake to rest.

    Args:
        line: What is commanded.
        mover: Ruckig for the group.
        now_ns: In [ns].
        lookahead_ns: The plan is followed to at least ``now_ns + lookahead_ns``.
        spacing_ns: Between points, in [ns].

    Returns:
        The window, and the time in [ns] at which its brake begins.
    """
    before = (now_ns - line.origin_ns) // spacing_ns
    steps = 1 + -(-(now_ns + lookahead_ns - line.origin_ns - before * spacing_ns) // spacing_ns)
    t_ns = line.origin_ns + spacing_ns * np.arange(before - 1, before + steps, dtype=np.int64)
    points = line.states(t_ns)
    last_ns, last = int(t_ns[-1]), points[:, -1]
    if last[1:].any():
        brake = mover.stop(last)
        duration_ns = max(math.ceil(brake.duration_s * 1e9), 1)
        count = math.ceil(duration_ns / spacing_ns)
        tail_ns = last_ns + duration_ns * np.arange(1, count + 1, dtype=np.int64) // count
        tail = brake.sample(np.asarray((tail_ns - last_ns) * 1e-9, np.float64))
        tail[1:, -1] = 0.0
        t_ns = np.concatenate([t_ns, tail_ns])
        points = np.concatenate([points, tail], axis=1)
    t_ns.setflags(write=False)
    points.setflags(write=False)
    window = TrajectoryWindow(
        t_ns=t_ns, position=points[0], velocity=points[1], acceleration=points[2]
    )
    return window, last_ns
