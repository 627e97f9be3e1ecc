"""What is wrong with the publishers of a topic that we read, in words."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo


def publication_problem(node: Node, topic: str, message: type[Any]) -> str | None:
    """Why nothing that we understand can come from a topic, or None.

    Reliability is never a reason: sensors are read with what their publishers offer.
    """
    name = node.resolve_topic_name(topic)
    offers = node.get_publishers_info_by_topic(name)
    if not offers:
        return f"nobody publishes {name}: start its driver, or mend the topic in the robot file"
    wanted = type_name(message)
    there = sorted({offer.topic_type for offer in offers})
    if wanted not in there:
        hint = "mend the topic in the robot file"
        if "Image" in wanted and any("Image" in kind for kind in there):
            hint = "mend the camera's transport (raw or compressed) in the robot file"
        return f"{name} carries {', '.join(there)}, but {wanted} is expected: {hint}"
    if len(offers) > 1 and wanted != "tf2_msgs/msg/TFMessage":
        nodes = ", ".join(sorted(_node_of(offer) for offer in offers))
        return f"{name} has {len(offers)} publishers ({nodes}): stop all but one"
    return None


def qos_problem(node: Node, topic: str) -> str | None:
    """Which subscriber of a topic gets nothing because it asks for more than is offered, or None.

    Foreign nodes that read our topics decide for themselves what they ask for, and DDS keeps silent
    where that does not fit.
    """
    name = node.resolve_topic_name(topic)
    for offer in node.get_publishers_info_by_topic(name):
        for request in node.get_subscriptions_info_by_topic(name):
            fit, why = qos_check_compatible(offer.qos_profile, request.qos_profile)
            if fit == QoSCompatibility.ERROR:
                return (
                    f"{_node_of(request)} asks for more on {name} than {_node_of(offer)} offers "
                    f"({why.rstrip(';. ')}), so nothing comes through: mend the QoS of one of them"
                )
    return None


def _node_of(endpoint: TopicEndpointInfo) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


def type_name(message: type[Any]) -> str:
    """``package/msg/Type``."""
    return f"{message.__module__.split('.')[0]}/msg/{message.__name__}"
