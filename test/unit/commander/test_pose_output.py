"""A link led by its pose: its controller finds the joints, the bridge watches all the same."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from bench import MS, Bench
from every_output import LIMITS, URDF
from robots import ARM, arm

from vla_ros.motion import MotionRefused
from vla_ros.robot.outputs.pose import PoseOutput
from vla_ros.robot.poses.kinematics import KinematicsError
from vla_ros.robot.poses.workspace import workspace_of
from vla_ros.robot.spec.robot import RobotSpec

TOO = ("joint1_too", "joint2_too")


def robot(part: dict | None = None, more: list[dict] | None = None, **changes) -> RobotSpec:
    """A gantry whose hand is told where to be."""
    hand = {"name": "hand", "kind": "pose", "link": "hand", "output": "out"} | (part or {})
    spec = arm(
        urdf="gantry.urdf",
        action=changes.pop("action", [hand]),
        outputs=[
            *(more or []),
            {
                "name": "out",
                "controller": "pose_stamped",
                "topic": "/target_pose",
                "joints": ARM,
                "limits": {"linear": LIMITS, "angular": LIMITS},
            }
            | changes.pop("output", {}),
        ],
        poses={},
        **changes,
    )
    return spec.with_urdf(URDF)


class Gantry(Bench):
    """A bench whose joints are where the hand was sent."""

    def __init__(self, spec: RobotSpec, start: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__(spec, active=False, workspace=workspace_of(spec, URDF))
        self.arm = np.array(start)
        self.sent: list[np.ndarray] = []
        self.ticks(20)

    def tick(self, joints: bool = True):
        before = self.arm
        commands = super().tick(joints)
        self.sent += [payload for _, payload in commands.values]
        self.arm = before if self.blocked or not self.sent else self.sent[-1][:2]
        return commands

    def lead(self, rows: np.ndarray, dt_ms: int = 40):
        """A plan of rows (T, A)."""
        return self.send(actions=rows, dt_ns=dt_ms * MS)


def path(goal: tuple[float, float, float], at: np.ndarray, count: int = 40) -> np.ndarray:
    """Positions and unit quaternions, at rest at both ends. Shape (T, 7)."""
    s = np.linspace(0.0, 1.0, count)[:, None]
    way = 10 * s**3 - 15 * s**4 + 6 * s**5
    start = np.array([*at, 0.0])
    turn = np.tile([0.0, 0.0, 0.0, 1.0], (count, 1))
    return np.hstack([start + way * (np.array(goal) - start), turn])


def test_it_begins_where_the_joints_say_and_says_what_it_commands() -> None:
    b = Gantry(robot(), (0.3, -0.2))
    np.testing.assert_allclose(b.sent[0], [0.3, -0.2, 0.0, 0.0, 0.0, 0.0, 1.0], atol=1e-12)
    b.start()
    assert b.lead(path((0.5, 0.1, 0.0), b.arm)) is None
    sample = b.ticks(200)[-1].commanded
    assert b.commander.mode == "HOLDING"
    np.testing.assert_allclose(sample.action, [0.5, 0.1, 0.0, 0.0, 0.0, 0.0, 1.0], atol=1e-6)


def test_steps_lead_on_from_where_the_hand_is_commanded_to_be() -> None:
    b = Gantry(robot({"relative_to": "command", "rotation": "axis_angle"}), (0.3, -0.2))
    b.start()
    steps = np.tile([0.004, 0.002, 0.0, 0.0, 0.0, 0.0], (30, 1))
    assert b.lead(steps, 20) is None
    said = [tick.commanded for tick in b.ticks(40)]
    np.testing.assert_allclose(said[30].action[:2], [0.004, 0.002], atol=1e-6)
    b.ticks(60)
    moved = b.sent[-1][:2] - [0.3, -0.2]
    np.testing.assert_allclose(moved, 30 * np.array([0.004, 0.002]), atol=0.006)


def test_a_plan_that_begins_elsewhere_is_refused_in_words() -> None:
    b = Gantry(robot())
    b.start()
    refusal = b.lead(path((0.9, 0.0, 0.0), np.array([0.8, 0.0])))
    assert refusal is not None
    assert "'hand' would first move by 0.800 m" in refusal.text
    b.ticks(20)
    assert not np.diff(b.sent, axis=0).any()


def test_a_hand_that_does_not_follow_stops_the_robot() -> None:
    b = Gantry(robot())
    b.start()
    b.lead(path((0.6, 0.0, 0.0), b.arm))
    b.blocked = True
    b.ticks(120)
    assert b.commander.stop_reason == "tracking_error"
    assert "'hand' is 0.2" in b.commander.stop_text
    rest = len(b.sent)
    b.ticks(60)
    assert not np.diff(b.sent[rest + 40 :], axis=0).any()
    np.testing.assert_array_equal(b.sent[-1][2:], [0.0, 0.0, 0.0, 0.0, 1.0])


BOX = {"lower": [-1.0, -1.0, -1.0], "upper": [0.5, 1.0, 1.0]}
POINT = {"name": "palm", "link": "hand", "radius": 0.05}


@pytest.mark.parametrize("goal", [(0.9, 0.1, 0.0), (0.46, 0.0, 0.0), (0.6, -0.4, 0.0)])
def test_the_pose_stops_before_the_side_of_the_box(goal: tuple[float, float, float]) -> None:
    b = Gantry(robot(workspace={"points": [POINT], "box": BOX}))
    b.start()
    assert b.lead(path(goal, b.arm)) is None
    b.ticks(260)
    assert b.commander.stop_reason == "workspace"
    assert "'palm' would leave the box" in b.commander.stop_text
    assert 0.4 < max(pose[0] for pose in b.sent) <= 0.45 + 2e-4


def test_a_workspace_does_not_change_what_is_inside_it() -> None:
    free, bounded = Gantry(robot()), Gantry(robot(workspace={"points": [POINT], "box": BOX}))
    for b in (free, bounded):
        b.start()
        b.lead(path((0.4, 0.2, 0.0), b.arm))
        b.ticks(200)
    np.testing.assert_array_equal(free.sent, bounded.sent)
    assert bounded.commander.stop_reason == "none"


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ({"link": "slide"}, {}, "'slide' is moved in 'base' by joint1, expected the joints of"),
        ({"link": "nothing"}, {}, "link 'nothing' is not in the URDF"),
        ({}, {"output": {"joints": ["joint1"]}}, "is moved in 'base' by joint1, joint2"),
    ],
)
def test_joints_that_do_not_tell_where_the_link_is_are_refused(
    part: dict, changes: dict, words: str
) -> None:
    with pytest.raises(KinematicsError, match=words):
        Gantry(robot(part, **changes))


def test_a_point_whose_place_nobody_here_decides_is_refused() -> None:
    spec = robot(workspace={"points": [POINT, POINT | {"name": "x", "link": "slide"}], "box": BOX})
    with pytest.raises(KinematicsError, match="'x' is on 'slide'"):
        workspace_of(spec, URDF)


@pytest.mark.parametrize(
    ("part", "output", "words"),
    [
        ({"tolerance_m": 0.01}, {}, "has tolerance_m, but 'out'"),
        ({"posture": "home"}, {}, "has posture, but 'out'"),
        ({}, {"limits": {"linear": LIMITS}}, "axis 'angular' needs limits"),
        ({}, {"limits": {"linear": LIMITS, "angular": LIMITS, "x": LIMITS}}, "limits of x"),
    ],
)
def test_what_makes_no_sense_in_the_robot_file_is_said(
    part: dict, output: dict, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        robot(part, output=output)


def test_there_is_no_speed_slider_beside_it() -> None:
    with pytest.raises(ValueError, match="speed_scaling slows positions of joints only"):
        robot(speed_scaling={"topic": "/speed"})


def test_one_arm_is_solved_here_and_the_other_by_its_controller() -> None:
    second = URDF.split('<link name="base"/>')[1].removesuffix("</robot>")
    for name in ("slide", "hand", "joint1", "joint2"):
        second = second.replace(f'"{name}"', f'"{name}_too"')
    urdf = URDF.replace("</robot>", second + "</robot>")
    limits = {"lower": -3.0, "upper": 3.0, "velocity": 2.5, "acceleration": 12.0, "jerk": 150.0}
    spec = robot(
        action=[
            {"name": "hand", "kind": "pose", "link": "hand", "output": "arm"},
            {"name": "too", "kind": "pose", "link": "hand_too", "output": "out"},
        ],
        output={"joints": TOO},
        more=[{"name": "arm", "controller": "forward_position", "topic": "/a", "joints": ARM}],
        limits=dict.fromkeys(ARM, limits),
    ).with_urdf(urdf)
    b = Two(spec)
    b.start()
    rows = np.hstack([path((0.2, 0.1, 0.0), [0.0, 0.0]), path((-0.1, 0.2, 0.0), [0.0, 0.0])])
    assert b.send(actions=rows, dt_ns=40 * MS) is None
    said = b.ticks(200)[-1]
    np.testing.assert_allclose(
        said.commanded.action[[0, 1, 7, 8]], [0.2, 0.1, -0.1, 0.2], atol=1e-5
    )
    sent = dict(said.values)
    np.testing.assert_allclose(sent["arm"], [0.2, 0.1], atol=1e-5)
    np.testing.assert_allclose(sent["out"][:2], [-0.1, 0.2], atol=1e-5)


class Two(Bench):
    """A bench of two arms of which both are where they were sent."""

    def __init__(self, spec: RobotSpec) -> None:
        self.too = np.zeros(2)
        super().__init__(spec)

    def joints(self) -> None:
        both = [*zip(ARM, self.arm, strict=True), *zip(TOO, self.too, strict=True)]
        self.commander.joint_state(self.now, dict(both), self.now, self.steady)

    def tick(self, joints: bool = True):
        commands = super().tick(joints)
        if commands.commanded is not None:
            self.too = commands.commanded.action[7:9]
        return commands


def test_the_quaternion_sent_never_jumps_to_its_negative() -> None:
    spec = robot()
    output = PoseOutput(spec.outputs[0], spec.pose_slices[0], slice(0, 7), spec)
    output.reset(0, np.zeros(2))
    angles = np.linspace(0.0, 1.6 * np.pi, 160)  # past half a turn, w changes its sign there
    sent = []
    for first in (0, 80):
        z = np.zeros((80, 3))
        half = angles[first : first + 80, None] / 2.0
        rows = np.hstack([z, z[:, :2], np.sin(half), np.cos(half)])
        now = first * 40 * MS
        bench = Bench(spec, active=False)
        output.accept(bench.plan(actions=rows, start_ns=now, valid_from_ns=now, dt_ns=40 * MS), now)
        for k in range(320 if first == 0 else 400):
            output.advance(now + (k + 1) * 10 * MS)
            sent.append(output.values[3:])
    assert min(a @ b for a, b in pairwise(sent)) > 0.99
    assert sent[-1][3] < -0.5
    with pytest.raises(MotionRefused, match="element of"):
        output.accept(bench.plan(actions=np.full((5, 7), 1e6)), 10**10)
