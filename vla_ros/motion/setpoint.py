"""What the motion pipeline hands to the outputs: one setpoint, or a window of them.

Axis letters: N joints of the group, P points of a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vla_ros.motion.limits import FloatArray

MotionState = Literal["HOLDING", "RAMPING", "TRACKING", "BRAKING"]

LIMITED_POSITION = 1
LIMITED_VELOCITY = 2
LIMITED_ACCELERATION = 4
LIMITED_JERK = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Setpoint:
    """What is commanded at one instant.

    Attributes:
        t_ns: Due time of the setpoint, in [ns] of ROS time.
        position: In [rad] or [m]. Shape (N,).
        velocity: In [rad/s] or [m/s]. Shape (N,).
        acceleration: In [rad/s^2] or [m/s^2]. Shape (N,).
        row: Fractional row of the plan that is being executed; NaN when no plan is.
        stretch: Duration over planned duration of the plan in force: 1 is as planned, 2 half as
            fast.
        limited: Bits of the limits that changed the plan: position 1, velocity 2, acceleration 4,
            jerk 8. Shape (N,), uint8.
        reference: What the plan asked for at this row, before smoothing and limits. Shape (N,).
    """

    t_ns: int
    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    row: float
    stretch: float
    limited: NDArray[np.uint8]
    reference: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class TrajectoryWindow:
    """A piece of the commanded curve that ends at rest, for a trajectory controller.

    The first two points lie at or before the time of the call, on the curve already commanded, so
    that a controller which replaces its trajectory by this one never interpolates from the measured
    state. The last points brake, so that a controller which hears no more comes to rest.

    Attributes:
        t_ns: Due time of each point, strictly increasing, in [ns] of ROS time. Shape (P,).
        position: In [rad] or [m]. Shape (P, N).
        velocity: In [rad/s] or [m/s]; 0 in the last point. Shape (P, N).
        acceleration: In [rad/s^2] or [m/s^2]; 0 in the last point. Shape (P, N).
    """

    t_ns: NDArray[np.int64]
    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
