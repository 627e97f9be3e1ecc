"""Parameters of the simulated robot's node."""

from __future__ import annotations

from dataclasses import dataclass

from vla_ros.ros.parameters import NodeParameters, parameter


@dataclass(frozen=True, kw_only=True)
class SimParameters(NodeParameters):
    """Parameters of sim_robot."""

    robot: str = parameter("sim_arm", "robot file, or its name in config/robots")
    seed: int = parameter(1, "scene to begin with", minimum=0)
    camera_latency_s: float = parameter(
        0.03, "from the capture of an image to its publication", unit="s", minimum=0.0, maximum=1.0
    )
    lockstep_nodes: tuple[str, ...] = parameter(
        ("observation_sync", "policy", "control_bridge"), "nodes that lockstep waits for"
    )
    lockstep_patience_s: float = parameter(
        10.0, "steady time without progress that ends a lockstep run", unit="s", minimum=0.1
    )
    lockstep_start_s: float = parameter(
        120.0, "likewise, for every node to load and come up", unit="s", minimum=0.1
    )
