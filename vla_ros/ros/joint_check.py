"""What a robot's joint states call its joints, looked at before anything depends on it."""

from __future__ import annotations

import time

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.wait_for_message import wait_for_message
from sensor_msgs.msg import JointState

from vla_ros.robot.command.joints import JointReader, JointsError
from vla_ros.robot.spec.state import StateSpec


def check_joints(node: Node, state: StateSpec, wait_s: float) -> None:
    """Waits for one message of each topic of joint states and looks for the joints in it.

    Blocks, but needs no executor: each message is waited for in a wait set of its own. A topic
    that is silent for its share of the time is not judged here.

    Args:
        node: Listens for the time of the call.
        state: Whose joints.
        wait_s: The longest time for all topics together; 0: nothing is waited for.

    Raises:
        JointsError: Joints are missing or named twice; with what is there.
    """
    end_s = time.monotonic() + wait_s
    sources = state.joint_sources
    for i, source in enumerate(sources):
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            return
        # Best effort is served by every publisher.
        _, message = wait_for_message(
            JointState,
            node,
            node.resolve_topic_name(source.topic),
            qos_profile=qos_profile_sensor_data,
            time_to_wait=left_s / (len(sources) - i),
        )
        if message is not None:
            _look_at(JointReader(source), message)


def _look_at(reader: JointReader, message: JointState) -> None:
    try:
        reader.read(message.name, message.position)
    except JointsError as error:
        if error.structural:
            raise
