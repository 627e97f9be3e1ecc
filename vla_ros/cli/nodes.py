"""Names of the nodes that a graph has."""

from __future__ import annotations

NODES = ("observation_sync", "policy", "control_bridge", "task_planner")
"""Of every graph."""

DEMO_NODES = ("sim_robot", *NODES)
"""Of `demo.launch.yaml`."""
