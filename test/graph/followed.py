"""What a controller of ros2_control follows, as it says at every update."""

from __future__ import annotations

from typing import Any

import numpy as np
from stage import Stage

from vla_ros.ros.conversions.times import ns_from


class Reference:
    """Its controller_state."""

    def __init__(self, on: Stage, controller: str) -> None:
        from control_msgs.msg import JointTrajectoryControllerState

        self.t_ns: list[int] = []
        self.position: list[np.ndarray] = []
        self.velocity: list[np.ndarray] = []
        on.node.create_subscription(
            JointTrajectoryControllerState, f"/{controller}/controller_state", self._on_state, 1000
        )

    def _on_state(self, state: Any) -> None:
        self.t_ns.append(ns_from(state.header.stamp))
        self.position.append(np.asarray(state.reference.positions))
        self.velocity.append(np.asarray(state.reference.velocities))

    def since(self, t_ns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Stamps (n,), positions (n, N) and velocities (n, N) from an instant on."""
        first = int(np.searchsorted(self.t_ns, t_ns))
        part = slice(first, None)
        return (
            np.array(self.t_ns[part], dtype=np.int64),
            np.array(self.position[part]),
            np.array(self.velocity[part]),
        )
