"""Joint positions for paths of poses: what comes back from forward kinematics, and the limits."""

from __future__ import annotations

import numpy as np
import pytest
from real_robots import ARMS, real_urdf

from vla_ros.motion import MotionLimits
from vla_ros.robot.files import shared_folder
from vla_ros.robot.poses.inverse_kinematics import SPEED_ROOM, InverseKinematics
from vla_ros.robot.poses.kinematics import Kinematics, KinematicsError
from vla_ros.robot.spec.urdf import read_urdf
from vla_ros.spaces.rotations import matrix_from

SIM_ARM = (shared_folder() / "urdf" / "sim_arm.urdf").read_text(encoding="utf-8")
SIM_JOINTS = [f"joint{i}" for i in range(1, 7)]
ROBOTS = ["sim_arm", *ARMS]
DT_S, ROWS, SEEDS = 0.02, 50, 6
TOLERANCE = {"tolerance_m": 1e-3, "tolerance_rad": 5e-3}


class Arm:
    """An arm of which everything is known."""

    def __init__(self, robot: str) -> None:
        urdf, self.frame, self.link, joints = SIM_ARM, "base_link", "tcp", SIM_JOINTS
        if robot in ARMS:
            path, self.frame, self.link, joints = ARMS[robot]
            urdf = real_urdf(path)
        known = [read_urdf(urdf)[joint].limits for joint in joints]
        endless = [(-np.inf if k.lower is None else k.lower) for k in known]
        self.limits = MotionLimits(
            names=tuple(joints),
            lower=np.array(endless),
            upper=np.array([np.inf if k.upper is None else k.upper for k in known]),
            velocity=np.array([k.velocity for k in known]),
            acceleration=np.full(len(joints), 10.0),
            jerk=np.full(len(joints), 100.0),
        )
        self.kinematics = Kinematics(urdf, joints, self.frame)
        low = np.maximum(self.limits.lower, -np.pi)
        high = np.minimum(self.limits.upper, np.pi)
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        self.solver = InverseKinematics(
            self.kinematics, self.link, self.frame, self.limits, self.middle
        )

    def path(self, seed: int) -> np.ndarray:
        """A smooth path of joints well inside the limits, at up to 0.6 of the speed limits."""
        dice = np.random.default_rng(seed)
        start = self.middle + dice.uniform(-0.5, 0.5, len(self.half)) * self.half
        reach = np.minimum(0.3 * self.half, 0.6 * self.limits.velocity * ROWS * DT_S / 2)
        goal = start + dice.uniform(-1.0, 1.0, len(self.half)) * reach
        way = np.linspace(0.0, 1.0, ROWS)[:, None]
        return start + (10 * way**3 - 15 * way**4 + 6 * way**5) * (goal - start)

    def poses(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.kinematics.poses(joints, self.link)

    def follow(self, poses, start: np.ndarray):
        return self.solver.follow(*poses, start, DT_S, **TOLERANCE)

    def assert_within_limits(self, start: np.ndarray, rows: np.ndarray) -> None:
        assert np.isfinite(rows).all()
        low, high = np.minimum(self.limits.lower, start), np.maximum(self.limits.upper, start)
        assert (rows >= low - 1e-12).all()
        assert (rows <= high + 1e-12).all()
        steps = np.abs(np.diff(rows, axis=0))
        assert (steps <= SPEED_ROOM * self.limits.velocity * DT_S + 1e-12).all()


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between rotation matrices, exact also for small ones."""
    return 2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=(1, 2)) / np.sqrt(8), 0, 1))


@pytest.mark.parametrize("robot", ROBOTS)
def test_the_joints_found_bring_the_link_to_the_poses_that_a_motion_of_the_arm_has(robot) -> None:
    arm = Arm(robot)
    followed = []
    for seed in range(SEEDS):
        joints = arm.path(seed)
        position, rotation = arm.poses(joints)
        found = arm.follow((position, rotation), joints[0])
        arm.assert_within_limits(joints[0], found.rows)
        followed.append(len(found.rows) / ROWS)
        there, turned = arm.poses(found.rows)
        assert np.linalg.norm(there - position[: len(there)], axis=1).max(initial=0.0) < 1e-3
        assert angles(turned, rotation[: len(turned)]).max(initial=0.0) < 5e-3
    assert np.mean(followed) == 1.0, followed


@pytest.mark.parametrize("robot", ROBOTS)
def test_whatever_is_asked_for_limits_hold_and_what_is_returned_is_within_tolerance(robot) -> None:
    arm = Arm(robot)
    cut = 0
    for seed in range(SEEDS):
        dice = np.random.default_rng(100 + seed)
        start = arm.middle + dice.uniform(-0.9, 0.9, len(arm.half)) * arm.half
        position, rotation = arm.poses(np.repeat(start[None], ROWS, axis=0))
        # Away in a random direction, up to 20 m in a second, turning up to 10 rad.
        way = np.linspace(0.0, 1.0, ROWS)[:, None]
        position = position + way * dice.normal(size=3) * 10.0 ** dice.uniform(-2, 1.3)
        turn = way * dice.normal(size=3) * 10.0 ** dice.uniform(-2, 1)
        rotation = matrix_from("axis_angle", turn) @ rotation
        found = arm.follow((position, rotation), start)
        arm.assert_within_limits(start, found.rows)
        there, turned = arm.poses(found.rows)
        off = np.linalg.norm(there - position[: len(there)], axis=1)
        assert off.max(initial=0.0) <= 1.01 * TOLERANCE["tolerance_m"]
        assert angles(turned, rotation[: len(turned)]).max(initial=0.0) <= 5.1e-3
        if len(found.rows) < ROWS:
            cut += 1
            assert found.position_error > 1e-3 or found.rotation_error > 5e-3
    assert cut > 0


def free_part(arm: Arm, q: np.ndarray) -> float:
    """How far the posture is away along the one motion that leaves the link's pose as it is."""
    nudged = np.concatenate([q[None], q + 1e-6 * np.eye(len(q))])
    position, rotation = arm.poses(nudged)
    moved = np.concatenate([position, rotation.reshape(len(nudged), 9)], axis=1)
    free = np.linalg.svd((moved[1:] - moved[0]).T)[2][-1]
    return abs(float(free @ (arm.middle - q)))


def test_what_a_pose_leaves_free_drifts_to_the_posture_and_the_pose_stays() -> None:
    arm = Arm("panda")
    start = arm.middle + np.array([0.3, -0.2, 0.4, 0.2, -0.3, 0.2, 0.0]) * arm.half
    position, rotation = arm.poses(np.repeat(start[None], 500, axis=0))
    rows = arm.follow((position, rotation), start).rows
    assert len(rows) == 500
    away = np.array([free_part(arm, q) for q in rows[::50]])
    assert (np.diff(away) < 0.0).all()
    assert away[-1] < 0.1 * away[0]
    there, _ = arm.poses(rows)
    assert np.abs(there - position).max() < 1e-4


def test_the_work_for_a_chunk_is_bounded_whatever_is_asked_for() -> None:
    arm, asked = Arm("sim_arm"), []
    task = arm.solver._task
    honest = task.compute_qp_residual
    task.compute_qp_residual = lambda configuration: (asked.append(1), honest(configuration))[1]
    start = arm.middle
    position, rotation = arm.poses(np.repeat(start[None], ROWS, axis=0))
    dice = np.random.default_rng(5)
    for _ in range(10):
        asked.clear()
        shaken = position + dice.normal(size=(ROWS, 3)) * 0.01
        arm.solver.follow(shaken, rotation, start, DT_S, tolerance_m=np.inf, tolerance_rad=np.inf)
        assert len(asked) <= 40 + 4 * ROWS


def refused(robot: str, link: str, frame: str, joints: list[str], match: str) -> None:
    path, *_ = ARMS[robot]
    kinematics = Kinematics(real_urdf(path), joints)
    count = len(joints)
    ones = np.ones(count)
    limits = MotionLimits(
        names=tuple(joints), lower=-ones, upper=ones, velocity=ones, acceleration=ones, jerk=ones
    )
    with pytest.raises(KinematicsError, match=match):
        InverseKinematics(kinematics, link, frame, limits, 0.0 * ones)


def test_a_pose_that_these_joints_do_not_decide_is_refused_in_words() -> None:
    arm = [f"arm_{i}_joint" for i in range(1, 8)]
    refused("tiago", "arm_7_link", "base_link", arm, "depends on torso_lift_joint, too")
    refused("tiago", "arm_7_link", "arm_2_link", arm, "'arm_2_link' is moved by arm_1_joint")
    refused("tiago", "head_2_link", "head_1_link", arm, "depends on head_2_joint, too")
    refused("tiago", "wrist_ft_link", "torso_lift_link", ["head_1_joint"], "depends on arm_1_joint")
    refused("tiago", "torso_lift_link", "torso_lift_link", arm, "none of arm_1_joint")
