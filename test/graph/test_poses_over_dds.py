"""The simulated arm told by poses, through the processes of bridge and robot."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from stage import stage
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Run

from vla_ros.chunks import Plan
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.poses.kinematics import Kinematics
from vla_ros.robot.poses.pose_values import Poses, written
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.plan import chunk_msg

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

SHIPPED = load_robot("sim_arm_ee")
ARM = SHIPPED.output("arm").joints
HAND = Kinematics(SHIPPED.urdf_text, ARM, "base_link")


def hand_at(q: np.ndarray) -> Poses:
    return Poses(*HAND.poses(q[None], "tcp"))[0]


def test_a_chunk_of_poses_leads_the_arm_and_one_out_of_reach_is_refused_in_words(
    tmp_path: Path,
) -> None:
    # On a busy machine the bridge is more patient than a robot's should be.
    robot, text = tmp_path / "robot.yaml", robot_path("sim_arm_ee").read_text(encoding="utf-8")
    hasty = "{joint_state_max_age_s: 0.25, plan_max_age_s: 1.0}"
    assert hasty in text
    patient = "{joint_state_max_age_s: 3.0, plan_max_age_s: 6.0}"
    robot.write_text(text.replace(hasty, patient), encoding="utf-8")
    spec = load_robot(robot)
    with stage() as on:
        status: list[BridgeStatus] = []
        joints: list[JointState] = []
        told: list[Commanded] = []
        node = on.node
        node.create_subscription(
            BridgeStatus, "bridge_status", status.append, qos.profile("latched")
        )
        node.create_subscription(JointState, "/joint_states", joints.append, 50)
        node.create_subscription(Commanded, "commanded", told.append, qos.profile("commanded"))
        runs = node.create_publisher(Run, "run", qos.profile("run"))
        chunks = node.create_publisher(ActionChunk, "action_chunk", qos.profile("chunk"))
        on.start("sim_robot", robot="sim_arm")
        on.start("control_bridge", robot=robot, start_enabled=True, use_sim_time=True)
        on.wait(lambda: bool(told) and told[-1].mode == Commanded.HOLDING, "the bridge in command")

        def measured() -> np.ndarray:
            last = joints[-1]
            return np.array([last.position[list(last.name).index(joint)] for joint in ARM])

        on.wait(lambda: bool(status and joints), "the bridge's status and the joints")
        run_id = on.begin_run(runs, chunks, lambda: status[-1])
        epoch, numbers = status[-1].epoch, itertools.count(1)

        def send(position: np.ndarray, start: Poses) -> None:
            stamp = told[-1].header.stamp
            now_ns = stamp.sec * 10**9 + stamp.nanosec
            way = np.linspace(0.0, 1.0, 51)[:, None]
            way = 10 * way**3 - 15 * way**4 + 6 * way**5
            path = Poses(
                start.position + way * (position - start.position),
                np.repeat(start.rotation[None], 51, axis=0),
            )
            rows = np.hstack([written(spec.pose_slices[0], path), np.ones((51, 1))])
            plan = Plan(
                run_id=run_id, epoch=epoch, seq=next(numbers), spec_hash=spec_hash(spec),
                t_obs_ns=now_ns, start_ns=now_ns, dt_ns=20_000_000, valid_from_ns=now_ns,
                actions=rows,
            )  # fmt: skip
            chunks.publish(chunk_msg(plan, spec.base_frame))

        def taken(condition: Callable[[], bool], position: np.ndarray, start: Poses) -> bool:
            """Sends until it holds: a busy machine may deliver a chunk when it is over."""
            for _ in range(10):
                send(position, start)
                if on.waits(condition, 3.0):
                    return True
            return False

        start = hand_at(measured())
        goal = start.position + np.array([0.05, 0.08, -0.04])
        assert taken(lambda: status[-1].chunks_accepted == 1, goal, start), status[-1]
        on.wait(
            lambda: np.linalg.norm(hand_at(measured()).position - goal) < 1e-3, "the hand to arrive"
        )
        np.testing.assert_allclose(hand_at(measured()).rotation, start.rotation, atol=8e-3)
        on.wait(lambda: np.abs(np.array(told[-1].action[:3]) - goal).max() < 1e-3, "its report")
        away = hand_at(measured())
        far = Poses(away.position + np.array([5.0, 0.0, 0.0]), away.rotation)
        # Row 0, or a later one where the chunk was on its way for that long.
        refusal = re.compile(r"chunk \d+: 'tcp' would miss row \d+ by 4\.")
        assert taken(
            lambda: refusal.match(status[-1].last_refusal) is not None, far.position, far
        ), status[-1]
        assert status[-1].chunks_accepted == 1
        for name in ("control_bridge", "sim_robot"):
            assert on.stop(name) == 0
            assert "Traceback" not in on.printed(name)
