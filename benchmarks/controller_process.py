"""The simulated trajectory controller as a process on DDS: 500 Hz, joints that follow perfectly.

Stands in for ros2_control with mock hardware (`mock_hardware`) where none is installed.
"""

from __future__ import annotations

import contextlib
import sys
import time

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from vla_ros.nodes.truth import trajectory_from
from vla_ros.ros import qos
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.sim.controllers import Measured, TrajectoryController, TrajectoryRefused

PERIOD_NS = 2_000_000


def main() -> None:
    """Until it is told to stop; arguments: names of the joints."""
    names = tuple(sys.argv[1:])
    rclpy.init(args=[])
    node = rclpy.create_node("arm_controller")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    position, velocity = np.zeros(len(names)), np.zeros(len(names))
    controller = TrajectoryController(names, position)

    def take(message: JointTrajectory) -> None:
        try:
            controller.accept(trajectory_from(message), time.time_ns())
        except TrajectoryRefused as error:
            node.get_logger().warning(str(error), throttle_duration_sec=1.0)

    node.create_subscription(
        JointTrajectory, "/arm_controller/joint_trajectory", take, qos.profile("command")
    )
    states = node.create_publisher(JointState, "/joint_states", qos.profile("joint_state"))
    due_ns = time.time_ns()
    while rclpy.ok():
        due_ns = max(due_ns + PERIOD_NS, time.time_ns() - PERIOD_NS)  # a stall is not caught up
        while (left_ns := due_ns - time.time_ns()) > 0:
            executor.spin_once(timeout_sec=left_ns * 1e-9)
        now = np.array([time.time_ns()], dtype=np.int64)
        p, v = controller.sample(now, Measured(position=position, velocity=velocity))
        position, velocity = np.array(p[0]), np.array(v[0])
        states.publish(
            joint_state_msg(
                int(now[0]),
                dict(zip(names, position, strict=True)),
                dict(zip(names, velocity, strict=True)),
            )
        )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        main()
