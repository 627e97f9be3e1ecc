"""Poses streamed to a controller that finds the joints by itself: limits for any plan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_ros.motion import MotionRefused
from vla_ros.robot.outputs.pose_motion import Bound, PoseMotion, apart, rotation_vector, turned
from vla_ros.robot.poses.pose_values import Poses

MS = 1_000_000
TICK = 10 * MS
LINEAR, ANGULAR = Bound(velocity=0.5, acceleration=2.0), Bound(velocity=1.5, acceleration=6.0)
START = Poses(np.array([0.4, -0.1, 0.3]), turned(np.array([0.3, 2.0, -0.5]), np.eye(3)))


class Bench:
    """One motion on a clock, and all that it said."""

    def __init__(self) -> None:
        self.motion = PoseMotion(LINEAR, ANGULAR, TICK)
        self.motion.reset(START)
        self.now = 1_000 * MS
        self.said: list[Poses] = []
        self.at: list[int] = []
        self.ticks(3)

    def ticks(self, count: int, period: int = TICK, jump: int = 0) -> None:
        """Periods, each after the clock jumped."""
        for _ in range(count):
            self.now += jump + period
            self.said.append(self.motion.advance(self.now))
            self.at.append((self.at[-1] if self.at else 0) + period)

    def send(self, poses: Poses, dt_ms: int = 20, start_ms: int = 0) -> None:
        start = self.now + start_ms * MS
        self.motion.follow(self.motion.path(poses, start, dt_ms * MS, start, "linear", self.now))

    @property
    def speeds(self) -> np.ndarray:
        """Between all that was said. Shape (n, 2, 3)."""
        said = Poses(
            *(np.array([getattr(p, n) for p in self.said]) for n in ("position", "rotation"))
        )
        between = apart(said[:-1], said[1:]) / (np.diff(self.at)[:, None] * 1e-9)
        return np.swapaxes(between, 0, 1)

    def assert_limits(self) -> None:
        speeds = self.speeds
        assert np.isfinite(speeds).all()
        after = np.diff(self.at)[1:] * 1e-9
        for i, bound in enumerate((LINEAR, ANGULAR)):
            assert np.linalg.norm(speeds[:, i], axis=1).max() <= bound.velocity * (1 + 1e-6)
            change = np.linalg.norm(np.diff(speeds[:, i], axis=0), axis=1) / after
            assert change.max() <= bound.acceleration * (1 + 1e-6) + 1e-9


def way(count: int) -> np.ndarray:
    """From 0 to 1, at rest at both ends. Shape (count,)."""
    s = np.linspace(0.0, 1.0, count)
    return 10 * s**3 - 15 * s**4 + 6 * s**5


def towards(goal: tuple[float, ...], turn: tuple[float, ...], share: np.ndarray) -> Poses:
    """Poses on a straight way from the start, turning about one axis."""
    return Poses(
        START.position + share[:, None] * np.array(goal),
        turned(share[:, None] * np.array(turn), START.rotation),
    )


def test_a_plan_inside_the_limits_passes_unchanged_and_without_delay() -> None:
    b = Bench()
    # Peak speed 1.875 x, peak acceleration 5.77 x, of one second: 10 % inside the limits.
    path = towards((0.2, -0.12, 0.0), (0.0, 0.6, -0.4), way(101))
    b.send(path, dt_ms=10)
    first = len(b.said)
    b.ticks(100)
    for k in range(0, 100, 7):
        np.testing.assert_allclose(b.said[first + k].position, path.position[k + 1], atol=1e-6)
        np.testing.assert_allclose(b.said[first + k].rotation, path.rotation[k + 1], atol=1e-6)
    b.assert_limits()


def test_a_plan_that_is_too_fast_is_executed_slower_and_ends_where_it_ends() -> None:
    b = Bench()
    path = towards((0.6, 0.0, 0.3), (0.0, 0.0, 2.0), way(26))
    b.send(path, dt_ms=40)
    b.ticks(400)
    b.assert_limits()
    assert b.motion.at_rest
    np.testing.assert_allclose(b.said[-1].position, path.position[-1], atol=1e-6)
    np.testing.assert_allclose(b.said[-1].rotation, path.rotation[-1], atol=1e-6)
    along = [np.linalg.norm(pose.position - path.position[-1]) for pose in b.said]
    assert np.diff(along).max() < 1e-4, "it does not swing past its end and come back"


def test_one_that_is_much_too_fast_or_turns_too_far_is_refused_in_words() -> None:
    b = Bench()
    with pytest.raises(MotionRefused, match="times faster than its output's limits"):
        b.send(towards((30.0, 0.0, 0.0), (0.0, 0.0, 0.0), way(26)))
    with pytest.raises(MotionRefused, match="times faster than its output's limits"):
        b.send(towards((0.0, 0.0, 0.0), (0.0, 0.0, 2.0), np.array([0.0, 1.0, 0.0])))
    with pytest.raises(MotionRefused, match="turns more than 160 degrees"):
        b.send(towards((0.0, 0.0, 0.0), (0.0, 0.0, 6.2), np.linspace(0.0, 1.0, 101)), dt_ms=50)
    with pytest.raises(MotionRefused, match="in the past"):
        b.send(towards((0.1, 0.0, 0.0), (0.0, 0.0, 0.0), way(26)), start_ms=-900)
    b.ticks(20)
    assert b.said[-1] is b.said[0], "what was refused moves nothing"


def test_a_plan_that_is_cut_off_in_mid_motion_ends_in_a_brake_at_its_last_row() -> None:
    b = Bench()
    path = towards((0.4, 0.0, 0.0), (0.0, 0.8, 0.0), np.linspace(0.0, 1.0, 51))
    b.send(path)
    b.ticks(200)
    b.assert_limits()
    assert b.motion.at_rest
    assert max(pose.position[0] for pose in b.said) < path.position[-1, 0] + 1e-3
    np.testing.assert_allclose(b.said[-1].position, path.position[-1], atol=1e-3)


def test_a_new_plan_elsewhere_is_joined_within_the_limits_and_then_followed() -> None:
    b = Bench()
    b.send(towards((0.2, 0.0, 0.0), (0.0, 0.5, 0.0), way(101)), dt_ms=10)
    b.ticks(50)
    there = towards((0.2, 0.06, 0.0), (0.0, 0.5, 0.3), way(101))
    later = towards((0.2, 0.06, 0.0), (0.0, 0.5, 0.3), np.ones(50))
    both = Poses(
        np.concatenate([there.position[50:], later.position]),
        np.concatenate([there.rotation[50:], later.rotation]),
    )
    b.send(both, dt_ms=10)
    b.ticks(60)
    b.assert_limits()
    np.testing.assert_allclose(b.said[-1].position, both.position[60], atol=1e-4)
    np.testing.assert_allclose(b.said[-1].rotation, both.rotation[60], atol=1e-4)


def test_a_stop_brakes_as_fast_as_allowed_and_the_pose_stands_still() -> None:
    b = Bench()
    b.send(towards((0.4, 0.0, 0.0), (0.0, 0.8, 0.0), np.linspace(0.0, 1.0, 51)))
    b.ticks(40)
    foreseen = b.motion.brake_path(b.now + TICK)
    b.ticks(1)
    b.motion.stop()
    first = len(b.said) - 1
    b.ticks(len(foreseen.position) + 20)
    said = b.said[first : first + len(foreseen.position) - 1]
    for pose, place, turn in zip(said, foreseen.position[1:], foreseen.rotation[1:], strict=True):
        np.testing.assert_allclose(pose.position, place, atol=1e-12)
        np.testing.assert_allclose(pose.rotation, turn, atol=1e-12)
    b.assert_limits()
    assert b.motion.at_rest
    braking = np.linalg.norm(b.speeds[first:, 0], axis=1)
    assert (braking > 0.0).sum() * 0.01 <= LINEAR.velocity / LINEAR.acceleration + 0.02
    assert all(pose is b.said[-1] for pose in b.said[-15:])


NUMBER = st.floats(-1.0, 1.0)
VECTOR = st.tuples(NUMBER, NUMBER, NUMBER)
PLAN = st.fixed_dictionaries(
    {
        "rows": st.lists(st.tuples(VECTOR, VECTOR), min_size=1, max_size=12),
        "reach": st.sampled_from([0.003, 0.03, 0.3, 30.0]),
        "dt_ms": st.sampled_from([7, 20, 100]),
        "start_ms": st.integers(-200, 100),
        "ticks": st.integers(0, 40),
        "stop": st.booleans(),
        "pause": st.sampled_from([1, 1, 3, 10]),
        "jump": st.sampled_from([0, 0, 600 * MS, -50 * MS]),
    }
)


@settings(max_examples=25, deadline=None)
@given(plans=st.lists(PLAN, min_size=1, max_size=5))
def test_whatever_the_plans_every_pose_is_inside_the_limits(plans: list[dict]) -> None:
    b = Bench()
    for plan in plans:
        here = b.motion.pose
        rows = np.array(plan["rows"])
        poses = Poses(
            here.position + plan["reach"] * rows[:, 0],
            turned(2.0 * plan["reach"] * rows[:, 1], here.rotation),
        )
        try:
            b.send(poses, plan["dt_ms"], plan["start_ms"])
        except MotionRefused:
            assert plan["reach"] > 0.003 or plan["start_ms"] < 0 or plan["dt_ms"] == 7
        b.ticks(plan["ticks"])
        b.ticks(1, plan["pause"] * TICK)
        b.ticks(1, jump=plan["jump"])
        if plan["stop"]:
            b.motion.stop()
            b.ticks(30)
            assert b.motion.at_rest
            assert not b.motion.speed.any()
    b.ticks(10)
    b.assert_limits()
    rotations = np.array([pose.rotation for pose in b.said])
    square = rotations @ np.swapaxes(rotations, 1, 2)
    np.testing.assert_allclose(square, np.broadcast_to(np.eye(3), square.shape), atol=1e-12)


def test_the_rotation_vector_of_a_turn_is_that_turn() -> None:
    for vector in np.random.default_rng(0).uniform(-1.7, 1.7, (50, 3)):
        np.testing.assert_allclose(rotation_vector(turned(vector, np.eye(3))), vector, atol=1e-12)
