"""The task-space guard: a stop before the bound, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from bench import MS, Bench
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import arm

from vla_ros.robot.command.commander import Commander
from vla_ros.robot.outputs.layout import OutputError
from vla_ros.robot.poses.workspace import workspace_of

URDF = """<robot name="planar">
<joint name="joint1" type="revolute"><parent link="base"/><child link="upper"/>
  <axis xyz="0 0 1"/><limit lower="-3" upper="3" velocity="2"/></joint>
<joint name="joint2" type="revolute"><parent link="upper"/><child link="fore"/>
  <origin xyz="0.5 0 0"/><axis xyz="0 1 0"/><limit lower="-3" upper="3" velocity="2"/></joint>
</robot>"""
HAND = {"name": "hand", "link": "fore", "offset": [0.4, 0.0, 0.0], "radius": 0.05}


def bench(start=(0.0, 0.0), **bounds) -> Bench:
    """An arm of 0.5 m and 0.4 m: joint1 turns about z, joint2 lifts and lowers the hand."""
    spec = arm(workspace={"points": [HAND], **bounds}, max_first_step=4.0)
    made = Bench(spec, active=False, workspace=workspace_of(spec, URDF))
    made.arm = np.array(start, dtype=float)
    made.ticks(20)
    return made


def hand(q) -> np.ndarray:
    """Centre of the hand, by hand."""
    reach = 0.5 + 0.4 * np.cos(q[1])
    return np.array([reach * np.cos(q[0]), reach * np.sin(q[0]), -0.4 * np.sin(q[1])])


def move(b: Bench, goal, rows: int = 11, dt_ms: int = 50) -> list:
    b.start()
    way = np.linspace(0.0, 1.0, rows)[:, None]
    smooth = 10 * way**3 - 15 * way**4 + 6 * way**5
    arms = b.arm + smooth * (np.array(goal) - b.arm)
    b.send(actions=np.hstack([arms, np.ones((rows, 1))]), dt_ns=dt_ms * MS)
    return [c.commanded.action[:2].copy() for c in b.ticks(rows * dt_ms // 10 + 60)]


def test_the_arm_stops_above_the_table_and_says_why():
    b = bench(table_z=-0.2)
    path = move(b, [0.0, 1.2])
    lowest = min(hand(q)[2] for q in path) - 0.05
    assert -0.2 - 2e-4 <= lowest < -0.1
    assert b.commander.stop_reason == "workspace"
    assert "'hand' would touch the table" in b.commander.stop_text
    assert b.commander.mode == "STOPPED"


def test_a_motion_inside_the_bounds_is_not_touched():
    free = bench(table_z=-9.0)
    bounded = bench(table_z=-0.2, keep_out=[{"centre": [0, 0, 0.3], "radius": 0.1}])
    np.testing.assert_allclose(move(free, [0.3, 0.3]), move(bounded, [0.3, 0.3]), atol=1e-12)
    assert bounded.commander.stop_reason == "none"


@pytest.mark.parametrize(
    ("bounds", "goal", "words"),
    [
        ({"box": {"lower": [-1, -0.3, -1], "upper": [1, 1, 1]}}, [-1.0, 0.0], "leave the box"),
        ({"keep_out": [{"centre": [0.0, 0.9, 0.0], "radius": 0.2}]}, [1.5, 0.0], "keep_out[0]"),
        (
            {"keep_out": [{"lower": [-0.2, 0.5, -0.2], "upper": [0.3, 1.0, 0.2]}]},
            [1.5, 0.0],
            "keep_out[0]",
        ),
    ],
)
def test_each_kind_of_bound_stops_the_arm_before_it(bounds, goal, words):
    b = bench(**bounds)
    path = move(b, goal)
    assert words in b.commander.stop_text
    clearance = b.commander._workspace.clearance(np.array(path))
    assert clearance.min() >= -2e-4
    assert clearance.min() < 0.1


def test_a_robot_that_stands_outside_may_come_back_but_go_no_further():
    b = bench(start=(0.0, 0.8), table_z=-0.2)
    path = move(b, [0.0, 1.0])
    assert b.commander.stop_reason == "workspace"
    assert max(q[1] for q in path) < 0.81
    b.ticks(30)
    assert b.commander.resume(b.now) is None
    b.commander.go_to("home", 1.0, b.now)
    b.ticks(200)
    assert b.commander.stop_reason == "none"
    assert b.arm[1] == pytest.approx(-0.3)


@settings(max_examples=15, deadline=None)
@given(
    goal=st.tuples(st.floats(-2.5, 2.5), st.floats(-1.5, 1.5)),
    dt_ms=st.sampled_from([20, 50, 100]),
    table=st.floats(-0.35, -0.06),
)
def test_no_motion_whatever_enters_the_table(goal, dt_ms, table):
    b = bench(table_z=table)
    path = move(b, goal, dt_ms=dt_ms)
    assert min(hand(q)[2] for q in path) - 0.05 >= table - 2e-4


def test_a_workspace_of_the_robot_file_cannot_be_forgotten():
    with pytest.raises(OutputError, match="workspace_of"):
        Commander(arm(workspace={"points": [HAND], "table_z": 0.0}))
