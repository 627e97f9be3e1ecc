"""How far a path is from the curve that the bridge commanded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from vla_ros_msgs.msg import Commanded

from vla_ros.ros.conversions.times import ns_from

Array = npt.NDArray[np.float64]


def off_the_curve(
    times: npt.NDArray[np.int64], path: Array, commanded: Sequence[Commanded]
) -> Array:
    """Distance of a path from the curve that was commanded, between its first and last sample.

    Args:
        times: Instants of the path, in [ns]. Shape (n,).
        path: Shape (n, N).
        commanded: Of one stretch of time; between two samples the curve is a cubic.

    Returns:
        The largest over joints, for those instants that are inside. Shape (m,).
    """
    width = path.shape[1]
    t = np.array([ns_from(c.header.stamp) for c in commanded], dtype=np.int64)
    p = np.array([np.asarray(c.action)[:width] for c in commanded])
    v = np.array([np.asarray(c.velocity)[:width] for c in commanded])
    new = np.concatenate([[True], np.diff(t) > 0])
    t, p, v = t[new], p[new], v[new]
    inside = (times >= t[0]) & (times < t[-1])
    k = np.searchsorted(t, times[inside], side="right") - 1
    h = ((t[k + 1] - t[k]) * 1e-9)[:, None]
    u = ((times[inside] - t[k]) * 1e-9)[:, None] / h
    curve = (
        (1 + 2 * u) * (1 - u) ** 2 * p[k]
        + u * (1 - u) ** 2 * h * v[k]
        + u**2 * (3 - 2 * u) * p[k + 1]
        + u**2 * (u - 1) * h * v[k + 1]
    )
    return np.asarray(np.abs(path[inside] - curve).max(axis=1), np.float64)
