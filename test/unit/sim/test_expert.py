"""The scripted expert, its policy, the disturbances and the judge."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from vla_ros.sim.controllers import TrajectoryMessage
from vla_ros.sim.expert import ScriptedExpert
from vla_ros.sim.expert_policy import ExpertPolicy, read_canonical
from vla_ros.sim.judge import Verdict, in_bin, judge
from vla_ros.sim.kinematics import forward
from vla_ros.sim.noise import Disturber, plan_bursts, random_start
from vla_ros.sim.robot import SimRobot
from vla_ros.sim.truth import (
    ARM_JOINTS,
    BINS,
    CUBES,
    FINGER_JOINT,
    FINGER_OPEN,
    ObjectPose,
    SimError,
    SimTruth,
    Target,
)

MS = 1_000_000
DT = 50 * MS


def play(
    robot: SimRobot,
    expert: ScriptedExpert,
    target: Target,
    *,
    limit_s: float = 15.0,
    judged: bool = True,
) -> Verdict:
    """Execute the expert's chunks directly, a new one each 100 ms."""
    before = robot.truth()
    while True:
        truth = robot.truth()
        verdict = judge(before, truth, target, time_limit_ns=round(limit_s * 1e9))
        elapsed_ns = truth.stamp_ns - before.stamp_ns
        if (verdict.outcome != "RUNNING" and judged) or elapsed_ns >= round(limit_s * 1e9):
            return verdict
        chunk = expert.chunk(truth, target, 16, DT)
        velocity = np.gradient(chunk[:, :6], 0.05, axis=0)
        velocity[0], velocity[-1] = truth.qvel[:6], 0.0
        robot.controllers["arm_controller"].accept(
            TrajectoryMessage(
                stamp_ns=truth.stamp_ns,
                joint_names=ARM_JOINTS,
                time_from_start_ns=np.arange(16, dtype=np.int64) * DT,
                positions=chunk[:, :6],
                velocities=velocity,
            ),
            truth.stamp_ns,
        )
        for row in range(2):
            robot.controllers["gripper_controller"].accept(
                TrajectoryMessage(
                    stamp_ns=0,
                    joint_names=(FINGER_JOINT,),
                    time_from_start_ns=np.array([10 * MS]),
                    positions=np.array([[chunk[row, 6] * FINGER_OPEN]]),
                ),
                robot.time_ns,
            )
            robot.step(DT)


@pytest.mark.parametrize("cube", CUBES)
@pytest.mark.parametrize("bin_", BINS)
def test_the_expert_does_each_task(cube: str, bin_: str) -> None:
    robot = SimRobot(CUBES.index(cube) + 10 * BINS.index(bin_))
    verdict = play(robot, ScriptedExpert(), Target(cube=cube, bin=bin_))
    assert verdict.outcome == "SUCCESS", verdict.reason


def test_with_two_cubes_in_the_bin_the_third_goes_on_top() -> None:
    robot = SimRobot(2, {"red cube": "blue bin", "green cube": "blue bin"})
    verdict = play(robot, ScriptedExpert(), Target(cube="blue cube", bin="blue bin"))
    assert verdict.outcome == "SUCCESS" or "moved" in verdict.reason, verdict.reason


def test_a_failed_grasp_is_tried_again() -> None:
    robot, expert = SimRobot(1), ScriptedExpert()
    target = Target(cube="red cube", bin="blue bin")
    truth = robot.truth()
    beside = truth.objects["red cube"].position + np.array([-0.05, 0.0, 0.01])
    robot.place_arm(expert.reach(truth, tuple(beside), 0.0, 0.0, 60, DT)[-1, :6], 0.0)
    verdict = play(robot, expert, target)
    assert verdict.outcome == "SUCCESS", verdict.reason


def test_a_wrong_cube_is_put_back_on_the_table() -> None:
    robot, expert = SimRobot(1), ScriptedExpert()
    play(robot, expert, Target(cube="green cube", bin="blue bin"), limit_s=1.3)
    assert expert.holds(robot.truth()) == "green cube"
    play(robot, expert, Target(cube="red cube", bin="blue bin"), limit_s=6.0, judged=False)
    truth = robot.truth()
    assert expert.holds(truth) is None
    x, y, z = truth.objects["green cube"].position
    assert 0.2 < x < 0.5
    assert abs(y) < 0.1
    assert z < 0.022
    assert in_bin(truth, "red cube", "blue bin")


def test_a_chunk_starts_at_the_present_joints_and_is_smooth() -> None:
    expert = ScriptedExpert()
    for seed in range(10):
        robot = SimRobot(seed)
        chunk = expert.chunk(
            robot.truth(), Target(cube=CUBES[seed % 3], bin=BINS[seed % 2]), 60, DT
        )
        np.testing.assert_allclose(chunk[0, :6], robot.truth().arm, atol=1e-9)
        speed = np.diff(chunk[:, :6], axis=0) / 0.05
        assert np.abs(speed).max() < 2.5
        assert np.abs(np.diff(speed, axis=0) / 0.05).max() < 12.0
        tcp = np.linalg.norm(np.diff(forward(chunk[:, :6])[0], axis=0), axis=1) / 0.05
        assert 0.35 < tcp.max() < 0.55
        assert set(np.unique(chunk[:, 6])) <= {0.0, 1.0}


def test_any_arm_pose_gives_a_finite_chunk_without_a_jump() -> None:
    rng = np.random.default_rng(3)
    expert, robot = ScriptedExpert(), SimRobot(0)
    for _ in range(50):
        robot.place_arm(
            rng.uniform((-2, -1, -1, -2.5, -2, -2.5), (2, 1.5, 2, 2.5, 2, 2.5)),
            rng.uniform(0, 0.042),
        )
        chunk = expert.chunk(robot.truth(), Target(cube="red cube", bin="blue bin"), 16, DT)
        assert np.isfinite(chunk).all()
        np.testing.assert_allclose(chunk[0, :6], robot.truth().arm, atol=1e-9)
        assert np.abs(np.diff(chunk[:, :6], axis=0)).max() < 0.15


@pytest.mark.parametrize(
    "arm", [(1.5, -0.5, 1.0, 1.0, -0.5, 2.0), (0.5, 0.2, 0.4, 2.8, -1.0, 2.0), (0, 0, 0, 0, 0, 0)]
)
def test_from_a_strange_arm_pose_the_task_is_done(arm: tuple[float, ...]) -> None:
    robot = SimRobot(6)
    robot.place_arm(np.array(arm, dtype=float), FINGER_OPEN)
    verdict = play(robot, ScriptedExpert(), Target(cube="red cube", bin="blue bin"))
    assert verdict.outcome == "SUCCESS", verdict.reason


def test_a_finished_task_leads_home_and_rests() -> None:
    robot = SimRobot(0, {"red cube": "blue bin"})
    chunk = ScriptedExpert().chunk(robot.truth(), Target(cube="red cube", bin="blue bin"), 60, DT)
    np.testing.assert_allclose(chunk[-1, :6], robot.truth().arm, atol=0.01)
    assert (chunk[:, 6] == 1.0).all()


def test_a_chunk_is_quick() -> None:
    robot, expert = SimRobot(0), ScriptedExpert()
    truth, target = robot.truth(), Target(cube="red cube", bin="blue bin")
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        expert.chunk(truth, target, 16, DT)
        best = min(best, time.perf_counter() - start)
    assert best < 10e-3, f"{best * 1e3:.1f} ms; 2 ms on an idle core"


@dataclass(frozen=True)
class FakeContract:
    dt_ns: int = DT


@dataclass(frozen=True)
class FakeSpec:
    horizon: int = 16
    contract: FakeContract = FakeContract()


@dataclass(frozen=True)
class FakeObservation:
    t_obs_ns: int
    start_ns: int


@dataclass(frozen=True)
class FakeRequest:
    observation: FakeObservation
    prompt: str = "put the red cube in the blue bin"
    seed: int | None = 1


def request(stamp_ns: int) -> FakeRequest:
    return FakeRequest(FakeObservation(t_obs_ns=stamp_ns, start_ns=stamp_ns))


def test_the_policy_matches_the_truth_by_stamp() -> None:
    robot, policy = SimRobot(0), ExpertPolicy(FakeSpec())
    first = robot.truth()
    policy.push_truth(first)
    robot.step(100 * MS)
    policy.push_truth(robot.truth())
    target = read_canonical("put the red cube in the blue bin")
    np.testing.assert_array_equal(
        policy.infer(request(first.stamp_ns)), ScriptedExpert().chunk(first, target, 16, DT)
    )
    with pytest.raises(SimError, match="no true state at 5 ns"):
        policy.infer(request(5))


def test_the_declared_noise_is_repeatable_and_leaves_row_0() -> None:
    robot, clean = SimRobot(0), ExpertPolicy(FakeSpec())
    noisy = ExpertPolicy(FakeSpec(), noise_rad=0.01)
    for policy in (clean, noisy):
        policy.push_truth(robot.truth())
    stamp_ns = robot.time_ns
    a, b, c = (p.infer(request(stamp_ns)) for p in (noisy, noisy, clean))
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a[0], c[0])
    assert 0.005 < np.std(a[1:, :6] - c[1:, :6]) < 0.015


def test_a_prompt_without_cube_or_bin_is_refused() -> None:
    with pytest.raises(SimError, match="does not name one cube"):
        read_canonical("dance")
    assert read_canonical("Put the GREEN cube in the yellow bin.").cube == "green cube"


def test_disturbances_are_functions_of_the_generator_and_bounded() -> None:
    counts = [len(plan_bursts(np.random.default_rng(seed))) for seed in range(300)]
    assert 1.3 < np.mean(counts) < 1.7
    for burst in plan_bursts(np.random.default_rng(5)):
        assert 0.01 <= np.linalg.norm(burst.offset) <= 0.07
    starts = [random_start(np.random.default_rng(seed)) for seed in range(300)]
    assert 0.15 < np.mean([start is not None for start in starts]) < 0.35


def test_a_disturber_changes_chunks_only_during_its_bursts() -> None:
    robot, expert = SimRobot(0), ScriptedExpert()
    seed = next(s for s in range(50) if len(plan_bursts(np.random.default_rng(s))) == 1)
    bursts = plan_bursts(np.random.default_rng(seed))
    disturber = Disturber(expert, bursts, start_ns=0)
    truth = robot.truth()
    clean = expert.chunk(truth, Target(cube="red cube", bin="blue bin"), 16, DT)
    inside = replace(truth, stamp_ns=(bursts[0].start_ns + bursts[0].end_ns) // 2)
    outside = replace(truth, stamp_ns=bursts[0].end_ns)
    assert disturber.active(inside.stamp_ns)
    assert not disturber.active(outside.stamp_ns)
    np.testing.assert_array_equal(disturber.chunk(outside, clean, DT), clean)
    assert not np.allclose(disturber.chunk(inside, clean, DT), clean)


def moved(truth: SimTruth, name: str, position: tuple[float, float, float]) -> SimTruth:
    pose = ObjectPose(position=np.array(position), quaternion=np.array([1.0, 0, 0, 0]))
    return replace(truth, objects={**truth.objects, name: pose})


class TestJudge:
    target = Target(cube="red cube", bin="blue bin")

    @pytest.fixture
    def start(self) -> SimTruth:
        robot = SimRobot(0)
        robot.step(100 * MS)
        return robot.truth()

    @pytest.fixture
    def done(self, start: SimTruth) -> SimTruth:
        x, y, _ = start.objects["blue bin"].position
        return moved(start, "red cube", (x, y, 0.023))

    def test_the_start_is_running(self, start: SimTruth) -> None:
        verdict = judge(start, start, self.target)
        assert verdict == Verdict(outcome="RUNNING", reason="the red cube is not in the blue bin")

    def test_cube_at_rest_in_bin_with_open_gripper_is_success(
        self, start: SimTruth, done: SimTruth
    ) -> None:
        assert judge(start, done, self.target).outcome == "SUCCESS"

    def test_the_wrong_bin_is_no_success(self, start: SimTruth) -> None:
        x, y, _ = start.objects["yellow bin"].position
        wrong = moved(start, "red cube", (x, y, 0.023))
        assert judge(start, wrong, self.target).outcome == "RUNNING"

    def test_a_closed_gripper_is_no_success(self, start: SimTruth, done: SimTruth) -> None:
        qpos = done.qpos.copy()
        qpos[6] = 0.02
        verdict = judge(start, replace(done, qpos=qpos), self.target)
        assert verdict == Verdict(outcome="RUNNING", reason="the gripper is not open")

    def test_a_moving_cube_is_no_success(self, start: SimTruth, done: SimTruth) -> None:
        qvel = done.qvel.copy()
        qvel[8] = 0.1
        assert judge(start, replace(done, qvel=qvel), self.target).reason.endswith("not at rest")

    def test_moving_another_cube_fails(self, start: SimTruth, done: SimTruth) -> None:
        x, y, z = done.objects["green cube"].position
        verdict = judge(start, moved(done, "green cube", (x + 0.031, y, z)), self.target)
        assert verdict.outcome == "FAILED"
        assert "green cube was moved 3.1 cm" in verdict.reason
        slightly = moved(done, "green cube", (x + 0.029, y, z))
        assert judge(start, slightly, self.target).outcome == "SUCCESS"

    def test_time_runs_out(self, start: SimTruth) -> None:
        late = replace(start, stamp_ns=start.stamp_ns + 15_000_000_000)
        assert judge(start, late, self.target).reason.endswith("not in the blue bin after 15 s")

    def test_off_the_table_fails_at_once(self, start: SimTruth) -> None:
        verdict = judge(start, moved(start, "red cube", (0.3, 2.0, -0.4)), self.target)
        assert verdict.reason == "the red cube fell off the table"
