"""The simulated robot: drives, gripper, scenes, truth."""

from __future__ import annotations

import time

import numpy as np
import pytest

from vla_ros.sim.controllers import TrajectoryMessage
from vla_ros.sim.model import HOME
from vla_ros.sim.robot import SimRobot
from vla_ros.sim.scenes import CUBE_GAP, make_scene
from vla_ros.sim.truth import ARM_JOINTS, BINS, CUBES, FINGER_JOINT, FINGER_OPEN, SimError

MS = 1_000_000
TICK = 10 * MS


def test_tracking_lag_at_one_radian_per_second_is_under_five_milliseconds() -> None:
    robot = SimRobot(0)
    amplitude = np.array([0.3, 0.15, 0.15, 0.3, 0.15, 0.3])
    omega = 1.0 / amplitude  # peak speed of each joint is 1 rad/s
    times = np.arange(0, 6000, 20, dtype=np.int64) * MS
    start_ns = robot.time_ns
    s = times[:, None] * 1e-9
    ramp = np.clip(s / 0.5, 0, 1) ** 2 * (3 - 2 * np.clip(s / 0.5, 0, 1))
    position = HOME + ramp * amplitude * np.sin(omega * s)
    velocity = np.gradient(position, 0.02, axis=0)
    velocity[-1] = 0.0
    robot.controllers["arm_controller"].accept(
        TrajectoryMessage(
            stamp_ns=start_ns,
            joint_names=ARM_JOINTS,
            time_from_start_ns=times,
            positions=position,
            velocities=velocity,
        ),
        start_ns,
    )
    stamps, measured = [], []
    for _ in range(400):
        robot.step(TICK)
        stamps.append(robot.time_ns)
        measured.append(list(robot.joint_positions().values())[:6])
    t = (np.array(stamps[100:]) - start_ns) * 1e-9
    q = np.array(measured[100:])
    for joint in range(6):
        # Lag: projection of the error on the velocity of the reference.
        reference = HOME[joint] + amplitude[joint] * np.sin(omega[joint] * t)
        speed = np.cos(omega[joint] * t)
        lag = -np.sum((q[:, joint] - reference) * speed) / np.sum(speed**2)
        assert abs(lag) < 0.005, f"joint{joint + 1} lags {lag * 1e3:.2f} ms"
        assert np.abs(q[:, joint] - reference).max() < 0.01


def test_the_gripper_closes_and_opens_in_a_third_of_a_second() -> None:
    robot = SimRobot(0)
    for goal in (0.0, FINGER_OPEN):
        robot.controllers["gripper_controller"].accept(
            TrajectoryMessage(
                stamp_ns=0,
                joint_names=(FINGER_JOINT,),
                time_from_start_ns=np.array([10 * MS]),
                positions=np.array([[goal]]),
            ),
            robot.time_ns,
        )
        for _ in range(33):
            robot.step(TICK)
        assert robot.joint_positions()[FINGER_JOINT] == pytest.approx(goal, abs=0.002)


def test_at_rest_nothing_drifts() -> None:
    robot = SimRobot(3, ["red cube"])
    robot.step(500 * MS)
    before = robot.truth()
    robot.step(2000 * MS)
    after = robot.truth()
    np.testing.assert_allclose(after.arm, before.arm, atol=1e-4)
    for name in CUBES:
        moved = after.objects[name].position - before.objects[name].position
        assert np.linalg.norm(moved) < 1e-3, name


def test_a_scene_is_a_function_of_its_seed() -> None:
    assert make_scene(7) == make_scene(7)
    assert make_scene(7) != make_scene(8)


def test_cubes_keep_room_for_the_gripper() -> None:
    for seed in range(200):
        scene = make_scene(seed)
        spots = np.array([[scene[n].x, scene[n].y] for n in CUBES])
        for i in range(3):
            for j in range(i):
                assert np.linalg.norm(spots[i] - spots[j]) >= CUBE_GAP
        assert np.sign(scene[BINS[0]].y) == -np.sign(scene[BINS[1]].y)


def test_binned_cubes_lie_in_their_bin_and_the_others_stay() -> None:
    plain = make_scene(5)
    binned = make_scene(5, {"red cube": "yellow bin"})
    assert binned["green cube"] == plain["green cube"]
    assert abs(binned["red cube"].y - binned["yellow bin"].y) < 0.02


def test_resetting_the_scene_leaves_arm_and_time_alone() -> None:
    robot = SimRobot(0)
    robot.step(100 * MS)
    before = robot.truth()
    robot.reset_scene(9)
    after = robot.truth()
    assert after.stamp_ns == before.stamp_ns
    assert after.seed == 9
    np.testing.assert_array_equal(after.arm, before.arm)


def test_unknown_things_are_refused() -> None:
    with pytest.raises(SimError, match="pink cube"):
        make_scene(0, ["pink cube"])
    with pytest.raises(SimError, match="multiple"):
        SimRobot(0).step(3 * MS)


def test_equal_commands_give_equal_worlds() -> None:
    runs = []
    for _ in range(2):
        robot = SimRobot(4)
        robot.step(300 * MS)
        runs.append(robot.truth().qpos)
    np.testing.assert_array_equal(runs[0], runs[1])


def test_one_control_period_is_quick() -> None:
    robot = SimRobot(0)
    robot.step(TICK)
    best = min(_timed(robot) for _ in range(20))
    assert best < 1.5e-3, f"{best * 1e3:.2f} ms; 0.2 ms on an idle core"


def _timed(robot: SimRobot) -> float:
    start = time.perf_counter()
    for _ in range(10):
        robot.step(TICK)
    return (time.perf_counter() - start) / 10
