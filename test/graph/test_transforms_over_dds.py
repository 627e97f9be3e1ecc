"""A pose from /tf and /tf_static in the state, where the messages of tf2_msgs are installed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from drivers import JOINTS, Drivers, small_robot
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from stage import stage
from vla_ros_msgs.msg import Observation

from vla_ros.robot.load import load_robot
from vla_ros.robot.poses.kinematics import Kinematics
from vla_ros.ros import qos
from vla_ros.ros.conversions.times import header, ns_from
from vla_ros.spaces.rotations import quaternion_from_matrix

tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs comes with a ROS installation only")
pytestmark = [pytest.mark.graph, pytest.mark.timeout(120)]

LINKS = ["base_link", "link1", "link2", "link3", "link4", "link5", "hand", "tcp"]
SOURCES = """  on_loss: skip
  sources:
    - {kind: tf, name: seen, frame: base_link, link: tcp, tolerance_s: 0.03, on_loss: skip}
  poses:
    - {name: computed, link: tcp}

# The action"""


def transform(skeleton: Kinematics, q: np.ndarray, parent: str, child: str, t_ns: int):
    position, rotation = skeleton.several(q[None], (parent, child))
    back = rotation[0, 0].T
    made = TransformStamped(header=header(t_ns, parent), child_frame_id=child)
    p = back @ (position[0, 1] - position[0, 0])
    r = quaternion_from_matrix(back @ rotation[0, 1])
    t = made.transform
    t.translation.x, t.translation.y, t.translation.z = p
    t.rotation.x, t.rotation.y, t.rotation.z, t.rotation.w = r
    return made


def test_the_pose_that_is_published_is_seen_as_the_one_that_the_joints_amount_to(
    tmp_path: Path,
) -> None:
    robot = small_robot(tmp_path, **{"  on_loss: skip\n\n# The action": SOURCES})
    skeleton = Kinematics(load_robot("sim_arm").urdf_text, JOINTS, "base_link")
    with stage() as made:
        drivers = Drivers(made)
        q = np.array([drivers.positions[joint] for joint in JOINTS])
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        still = made.node.create_publisher(tf2_msgs.TFMessage, "/tf_static", latched)
        still.publish(tf2_msgs.TFMessage(transforms=[transform(skeleton, q, "hand", "tcp", 0)]))
        moving = made.node.create_publisher(tf2_msgs.TFMessage, "/tf", 100)
        observations: list[Observation] = []
        made.node.create_subscription(
            Observation, "observation", observations.append, qos.profile("observation")
        )

        def broadcast() -> None:
            now_ns = made.node.get_clock().now().nanoseconds
            moving.publish(
                tf2_msgs.TFMessage(
                    transforms=[
                        transform(skeleton, q, parent, child, now_ns)
                        for parent, child in itertools.pairwise(LINKS[:-1])
                    ]
                )
            )

        made.node.create_timer(0.01, broadcast)
        made.start("observation_sync", robot=robot)
        made.wait(lambda: len(observations) >= 3, "observations")
        for seen in observations:
            assert [s.name for s in seen.streams] == ["front", "wrist", "state", "state/seen"]
            state = np.array(seen.state)
            assert state.shape == (21,)
            assert ns_from(seen.header.stamp) > 0
            np.testing.assert_allclose(state[7:14], state[14:], atol=1e-9)
