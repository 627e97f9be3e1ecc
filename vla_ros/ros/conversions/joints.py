"""sensor_msgs/JointState <-> positions and velocities by joint name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sensor_msgs.msg import JointState

from vla_ros.errors import VlaError
from vla_ros.ros.conversions.arrays import packed
from vla_ros.ros.conversions.times import header


class JointStateError(VlaError):
    """A joint state whose names and positions do not belong together."""


def joint_state_msg(
    stamp_ns: int, positions: Mapping[str, float], velocities: Mapping[str, float] | None = None
) -> JointState:
    """Positions [rad] or [m] and velocities by name -> message; velocities may be left out."""
    message = JointState(
        header=header(stamp_ns),
        name=list(positions),
        position=packed(np.array(list(positions.values())), "d"),
    )
    if velocities is not None:
        message.velocity = packed(np.array([velocities[name] for name in positions]), "d")
    return message


def positions_from(message: JointState) -> dict[str, float]:
    """Message -> positions by name, whatever the order; velocities and efforts may be empty.

    Raises:
        JointStateError: There are not as many positions as names, or a name comes twice.
    """
    positions = dict(zip(message.name, message.position, strict=False))
    if not len(message.name) == len(message.position) == len(positions):
        raise JointStateError(
            f"joint state names {list(message.name)} with {len(message.position)} positions; "
            "expected one position for each name, each name once. Mend the driver"
        )
    return positions
