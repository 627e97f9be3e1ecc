"""Quality of service by role. Every publisher and subscription of this package takes one of these.

A role has one profile, so publisher and subscriber cannot disagree. In lockstep every topic is
reliable, and keeps and repeats its history to readers discovered late: the barrier waits for each
message, so none may be lost.
"""

from __future__ import annotations

from typing import Literal

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

Role = Literal[
    "image",
    "joint_state",
    "estop",
    "observation",
    "chunk",
    "commanded",
    "latched",
    "static",
    "run",
    "command",
    "clock",
    "truth",
    "lockstep",
    "diagnostics",
]

_DEPTH: dict[Role, int] = {
    "image": 2,
    "joint_state": 50,
    "estop": 10,
    "observation": 1,
    "chunk": 2,
    "commanded": 10,
    "latched": 1,
    "static": 100,
    "run": 10,
    "command": 1,
    "clock": 1,
    "truth": 10,
    "lockstep": 10,
    "diagnostics": 10,
}
_LATCHED: tuple[Role, ...] = ("latched", "static", "run", "lockstep")
_BEST_EFFORT: tuple[Role, ...] = ("clock",)
_LOCKSTEP_DEPTH = 20
_LOCKSTEP_IMAGE_DEPTH = 4
_OBSERVATION_LIFESPAN_S = 0.2


def profile(role: Role, *, lockstep: bool = False) -> QoSProfile:
    """The profile of a role.

    Args:
        role: What the topic is for. ``latched`` keeps the last message for late joiners; ``run``
            too, but a run's end may not be overwritten by the next run's start; ``static`` keeps
            what holds for all time, of many publishers; ``command`` is a controller's command
            topic.
        lockstep: Whether the simulator waits for every message (no loss, no lifespan).
    """
    if lockstep:
        depth = _LOCKSTEP_IMAGE_DEPTH if role == "image" else max(_DEPTH[role], _LOCKSTEP_DEPTH)
        return _profile(depth, reliable=True, latched=True)
    qos = _profile(_DEPTH[role], reliable=role not in _BEST_EFFORT, latched=role in _LATCHED)
    if role == "observation":
        qos.lifespan = Duration(seconds=_OBSERVATION_LIFESPAN_S)
    return qos


def _profile(depth: int, *, reliable: bool, latched: bool) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def match_publisher(node: Node, topic: str, role: Role) -> QoSProfile | None:
    """A profile that every present publisher of a sensor's topic can serve.

    Drivers differ: some offer best effort, some reliable. A reliable request is not served by a
    best-effort offer, and a best-effort request gives away the repair of lost fragments.

    Args:
        node: Looks at the graph.
        topic: Name as the node would use it; remapping and namespace are applied.
        role: Gives the depth.

    Returns:
        Reliable where all publishers are, else best effort; None while nobody publishes.
    """
    offers = node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    if not offers:
        return None
    reliable = all(offer.qos_profile.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
    # A press from before this node was there counts, where its publisher repeats it.
    latched = role == "estop" and all(
        offer.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers
    )
    return _profile(_DEPTH[role], reliable=reliable, latched=latched)
