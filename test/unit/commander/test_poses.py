"""Plans of poses: the simulated arm is told where its hand is to be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from vla_ros.chunks import Plan
from vla_ros.robot.command.commander import Commander
from vla_ros.robot.files import shared_folder
from vla_ros.robot.load import load_robot
from vla_ros.robot.poses.kinematics import Kinematics
from vla_ros.robot.poses.pose_values import Poses, relative_to, written
from vla_ros.robot.spec.robot import PoseSliceSpec, RobotSpec, spec_hash
from vla_ros.sim.controllers import TrajectoryMessage
from vla_ros.sim.robot import SimRobot
from vla_ros.spaces.rotations import ROTATION_SIZES, matrix_from

MS = 1_000_000
TICK = 10 * MS
RUN = b"r" * 16
FILE = shared_folder() / "config" / "robots" / "sim_arm_ee.yaml"
SPEC = load_robot(FILE)
ARM = SPEC.output("arm").joints
HAND = Kinematics(SPEC.urdf_text, ARM, "base_link")
LIMITS = SPEC.in_joints().motion_limits()
HOME = np.array([SPEC.poses["home"][joint] for joint in ARM])


def robot(**hand) -> RobotSpec:
    """The robot whose hand is told in another way."""
    part = SPEC.pose_slices[0]
    values = part.model_dump() | hand
    return SPEC.model_copy(
        update={"action": (PoseSliceSpec.model_validate(values), *SPEC.action[1:])}
    )


def hand_at(q: np.ndarray) -> Poses:
    return Poses(*HAND.poses(q, "tcp"))


def smooth(goal: Poses, start: Poses, rows: int) -> Poses:
    """A straight way with a turn, at rest at both ends."""
    way = np.linspace(0.0, 1.0, rows)
    way = (10 * way**3 - 15 * way**4 + 6 * way**5)[:, None]
    turn = goal.rotation @ start.rotation.T
    angle = np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    vector = axis / max(np.linalg.norm(axis), 1e-12) * angle
    return Poses(
        start.position + way * (goal.position - start.position),
        matrix_from("axis_angle", way * vector) @ start.rotation,
    )


def elsewhere(offset=(0.08, 0.10, -0.06), turn=(0.3, -0.2, 0.5)) -> Poses:
    start = hand_at(HOME[None])[0]
    return Poses(
        start.position + np.array(offset),
        matrix_from("axis_angle", np.array(turn)) @ start.rotation,
    )


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.arcsin(min(1.0, np.linalg.norm(a - b) / np.sqrt(8))))


class Rig:
    """A commander and a robot that is where it is commanded; every sample is checked."""

    def __init__(self, spec: RobotSpec = SPEC) -> None:
        self.spec = spec
        self.commander = Commander(spec, start_enabled=True)
        self.now, self.seq = 1_000 * MS, 0
        self.q, self.path, self.samples = HOME.copy(), [], []
        self.ticks(20)
        assert self.commander.run_started(RUN, self.commander.epoch) is None

    def measured(self) -> dict[str, float]:
        return dict(zip(ARM, self.q, strict=True)) | {"finger_joint": 0.042}

    def tick(self) -> None:
        self.now += TICK
        self.commander.joint_state(self.now, self.measured(), self.now, self.now)
        commands = self.commander.tick(self.now, self.now)
        for name, window in commands.windows:
            if name == "arm":
                assert (window.position >= LIMITS.lower - 1e-9).all()
                assert (window.position <= LIMITS.upper + 1e-9).all()
                assert (np.abs(window.velocity) <= LIMITS.velocity + 1e-9).all()
                assert (np.abs(window.acceleration) <= LIMITS.acceleration + 1e-9).all()
                self.play(name, window)
        if commands.commanded is not None:
            self.samples.append(commands.commanded)
            sample = commands.commanded
            assert np.isfinite(sample.action).all()
            assert (np.abs(sample.velocity) <= LIMITS.velocity + 1e-9).all()
            assert (np.abs(sample.acceleration) <= LIMITS.acceleration + 1e-9).all()
        self.move()

    def play(self, name, window) -> None:
        """The controllers hear of it."""

    def move(self) -> None:
        setpoint = self.commander._execution.setpoint
        if setpoint is not None:
            self.q = setpoint.position.copy()
            self.path.append(self.q)

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.tick()

    def plan(self, rows: np.ndarray, **change) -> Plan:
        """Rows every 20 ms from now on; the hand open."""
        self.seq += 1
        values = {
            "run_id": RUN,
            "epoch": self.commander.epoch,
            "seq": self.seq,
            "spec_hash": spec_hash(self.spec),
            "t_obs_ns": self.now,
            "start_ns": self.now,
            "dt_ns": 20 * MS,
            "valid_from_ns": self.now,
            "actions": np.hstack([rows, np.ones((len(rows), 1))]),
        }
        return Plan(**(values | change))

    def send(self, rows: np.ndarray, **change):
        return self.commander.accept(self.plan(rows, **change), self.now, self.now)


def rows_of(spec: RobotSpec, path: Poses, before: Poses) -> np.ndarray:
    """A path in the words of the slice; ``before`` is where it comes from."""
    part = spec.pose_slices[0]
    if part.relative_to == "command":
        position = np.concatenate([before.position[None], path.position])
        rotation = np.concatenate([before.rotation[None], path.rotation])
        steps = relative_to(part, Poses(position[1:], rotation[1:]), Poses(position, rotation)[:-1])
        return written(part, steps)
    return written(part, path)


class SimRig(Rig):
    """The simulated arm with its mass and its drives, behind simulated controllers."""

    def __init__(self, spec: RobotSpec = SPEC) -> None:
        self.robot = SimRobot()
        super().__init__(spec)

    def measured(self) -> dict[str, float]:
        return self.robot.joint_positions()

    def play(self, name, window) -> None:
        message = TrajectoryMessage.of(window, ARM)
        self.robot.controllers["arm_controller"].accept(message, self.robot.time_ns)

    def move(self) -> None:
        self.robot.step(TICK)
        self.now = self.robot.time_ns - TICK
        self.q = np.array([self.robot.joint_positions()[joint] for joint in ARM])


def test_a_chunk_of_poses_brings_the_simulated_arm_to_the_pose_within_its_limits() -> None:
    rig = SimRig()
    goal = elsewhere()
    path = smooth(goal, hand_at(rig.q[None])[0], 51)
    assert rig.send(rows_of(SPEC, path, path[0])) is None
    assert rig.commander.remark == ""
    rig.ticks(160)
    assert rig.commander.stop_reason == "none"
    there = hand_at(rig.q[None])[0]
    assert np.linalg.norm(there.position - goal.position) < 1e-3
    assert angle(there.rotation, goal.rotation) < np.deg2rad(0.5)


@cache
def motion(**hand) -> np.ndarray:
    """The joints on their way along one path, told in some way. Shape (n, N)."""
    rig = Rig(robot(**hand))
    path = smooth(elsewhere(), hand_at(rig.q[None])[0], 51)
    assert rig.send(rows_of(rig.spec, path, path[0])) is None
    rig.path.clear()
    rig.ticks(120)
    return np.array(rig.path)


FORMS = [{"rotation": form} for form in ROTATION_SIZES]
STEPS = [
    {"rotation": form, "relative_to": "command", "axes": axes}
    for form in ("axis_angle", "rpy")
    for axes in ("link", "frame")
]


@pytest.mark.parametrize("hand", [*FORMS, *STEPS], ids=str)
def test_every_way_to_say_a_path_makes_the_same_motion(hand) -> None:
    moved = motion(**hand)
    assert np.abs(np.diff(moved, axis=0)).max() > 0.01
    np.testing.assert_allclose(moved, motion(), atol=2e-4)


@pytest.mark.parametrize("interpolation", ["linear", "hold"])
@pytest.mark.parametrize("axes", ["link", "frame"])
def test_chunks_of_steps_move_as_far_as_the_steps_that_were_due(axes, interpolation) -> None:
    rig = Rig(robot(rotation="axis_angle", relative_to="command", axes=axes))
    part, start = rig.spec.pose_slices[0], hand_at(rig.q[None])[0]
    whole = np.array([0.05, 0.10, -0.05, 0.0, 0.0, 0.4])
    begin = rig.now + 100 * MS

    def done(t_ns: np.ndarray) -> np.ndarray:
        way = np.clip((t_ns - begin) / (1_000 * MS), 0.0, 1.0)
        return 10 * way**3 - 15 * way**4 + 6 * way**5

    for _ in range(9):  # every 130 ms a chunk that is 70 ms old
        first_ns = rig.now - 70 * MS
        due = first_ns + 20 * MS * np.arange(-1, 40)
        steps = np.diff(done(due))[:, None] * whole
        assert rig.send(steps, start_ns=first_ns, interpolation=interpolation) is None
        rig.ticks(13)
    rig.ticks(60)
    assert rig.commander.stop_reason == "none"
    moved = written(part, relative_to(part, hand_at(rig.q[None])[0], start))
    np.testing.assert_allclose(moved[5], whole[5], atol=0.002)
    if axes == "frame":
        np.testing.assert_allclose(moved[:3], whole[:3], atol=5e-4)


def test_what_is_commanded_is_told_as_poses() -> None:
    rig = Rig()
    path = smooth(elsewhere(), hand_at(rig.q[None])[0], 51)
    rig.send(rows_of(SPEC, path, path[0]))
    rig.path.clear()
    rig.samples.clear()
    rig.ticks(120)
    told = np.array([sample.action for sample in rig.samples])
    np.testing.assert_allclose(
        told[:, :9], written(SPEC.pose_slices[0], hand_at(np.array(rig.path)))
    )
    assert (told[:, 9] == 1.0).all()
    asked = np.array([sample.reference for sample in rig.samples])
    assert np.abs(asked - told).max() < 0.02
    assert rig.samples[0].velocity.shape == (6,)


def test_the_step_that_is_commanded_is_what_the_hand_does_in_a_row() -> None:
    rig = Rig(robot(rotation="axis_angle", relative_to="command", axes="frame"))
    step = np.array([0.0, 0.002, 0.0, 0.0, 0.0, 0.0])
    assert not rig.samples[-1].action[:6].any()
    rig.send(np.tile(step, (50, 1)))
    rig.ticks(60)
    np.testing.assert_allclose(rig.samples[-1].action[:6], step, atol=1e-4)


def test_a_path_that_leaves_the_reach_is_followed_to_its_edge_and_the_rest_is_declared() -> None:
    rig = Rig()
    path = smooth(elsewhere(offset=(0.9, 0.0, 0.2), turn=(0, 0, 0)), hand_at(rig.q[None])[0], 51)
    assert rig.send(rows_of(SPEC, path, path[0])) is None
    assert "is cut: 'tcp' would miss row" in rig.commander.remark
    rig.ticks(130)
    there = hand_at(rig.q[None])[0]
    way = path.position[-1] - path.position[0]
    along = (there.position - path.position[0]) @ way / (way @ way)
    assert 0.1 < along < 0.9
    beside = there.position - path.position[0] - along * way
    assert np.linalg.norm(beside) < 0.01
    assert rig.commander.mode == "HOLDING"
    # Back again it may go.
    back = smooth(hand_at(HOME[None])[0], there, 51)
    assert rig.send(rows_of(SPEC, back, back[0])) is None
    assert rig.commander.remark == ""
    rig.ticks(130)
    np.testing.assert_allclose(rig.q, HOME, atol=2e-3)


def test_a_chunk_that_begins_out_of_reach_is_refused_and_the_run_stops_with_the_reason() -> None:
    rig = Rig()
    path = smooth(elsewhere(), hand_at(rig.q[None])[0], 11)
    assert rig.send(rows_of(SPEC, path, path[0])) is None
    rig.ticks(25)
    far = np.tile(written(SPEC.pose_slices[0], elsewhere(offset=(3.0, 0, 0))), (20, 1))
    refusal = rig.send(far)
    assert refusal is not None
    assert "'tcp' would miss row 0 by" in refusal.text
    rig.ticks(150)
    assert rig.commander.stop_reason == "plan_stale"
    assert "'tcp' would miss row 0 by" in rig.commander.stop_text
    assert rig.commander.mode == "STOPPED"


@pytest.mark.parametrize("huge", [1e5, 1e100, 1e300])
@pytest.mark.parametrize("column", [0, 3])
def test_an_element_that_is_far_from_any_pose_is_refused_in_words(huge, column) -> None:
    rig = Rig(robot(rotation="rpy"))
    rows = np.tile(written(rig.spec.pose_slices[0], hand_at(rig.q[None])[0]), (20, 1))
    rows[7, column] = huge
    refusal = rig.send(rows)
    assert refusal is not None
    assert "expected metres and radians below" in refusal.text


def test_columns_of_one_direction_are_refused_in_words() -> None:
    rig = Rig()
    refusal = rig.send(np.tile([0.3, 0, 0.3, 1, 0, 0, 1, 0, 0], (20, 1)))
    assert refusal is not None
    assert "both are parallel" in refusal.text


@pytest.mark.parametrize("form", ["quaternion", "sixd"])
def test_elements_that_are_no_rotation_are_refused_in_words(form) -> None:
    rig = Rig(robot(rotation=form))
    path = smooth(elsewhere(), hand_at(rig.q[None])[0], 20)
    rows = rows_of(rig.spec, path, path[0])
    rows[7, 3:] *= 0.1
    refusal = rig.send(rows)
    assert refusal is not None
    assert f"'hand' has a {form} of length" in refusal.text


@pytest.mark.parametrize("seed", range(4))
def test_whatever_poses_are_asked_for_the_motion_stays_inside_every_limit(seed) -> None:
    """`Rig.tick` checks each sample and each window."""
    dice = np.random.default_rng(seed)
    rig = Rig(robot(rotation="axis_angle", relative_to=["frame", "command"][seed % 2]))
    for _ in range(8):
        start = written(rig.spec.pose_slices[0], hand_at(rig.q[None])[0])
        if seed % 2:
            start = np.zeros(6)
        scale = 10.0 ** dice.uniform(-3.5, 0.5)
        rows = start + scale * np.cumsum(dice.normal(size=(30, 6)), axis=0)
        rig.send(rows, start_ns=rig.now - int(dice.integers(0, 200)) * MS)
        rig.ticks(int(dice.integers(5, 40)))
    rig.ticks(260)
    assert rig.commander.mode in ("HOLDING", "STOPPED")
