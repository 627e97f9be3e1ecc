"""What `vla eval` asks for, and how it judges a robot that may not listen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vla_ros.cli.trials import Listening, binned, listening_trials, single_trials
from vla_ros.sim.judge import TIME_LIMIT_NS
from vla_ros.sim.robot import SimRobot
from vla_ros.sim.scenes import make_scene
from vla_ros.sim.truth import CUBES, ObjectPose, SimTruth


@pytest.fixture(scope="module")
def table() -> SimTruth:
    """A scene with every cube on the table and the gripper open."""
    robot = SimRobot(5)
    robot.step(500_000_000)
    return robot.truth()


def later(truth: SimTruth, seconds: float, **cubes_in_bins: str) -> SimTruth:
    """The same scene later, some cubes lying in bins."""
    layout = make_scene(5, {f"{k} cube": f"{v} bin" for k, v in cubes_in_bins.items()})
    moved = {
        name: ObjectPose(
            position=np.array([layout[name].x, layout[name].y, layout[name].z]),
            quaternion=pose.quaternion,
        )
        if name.split()[0] in cubes_in_bins
        else pose
        for name, pose in truth.objects.items()
    }
    stamp_ns = truth.stamp_ns + round(seconds * 1e9)
    return replace(truth, stamp_ns=stamp_ns, objects=moved, qvel=np.zeros_like(truth.qvel))


def red_in_blue_or_green_in_blue() -> Listening:
    trial = next(
        t
        for t in listening_trials(range(900_000, 900_030), "canonical")
        if (t.episode.target.cube, t.other and t.other.cube) == ("red cube", "green cube")
        and t.episode.target.bin == "blue bin" == (t.other and t.other.bin)
    )
    return Listening(trial)


def test_every_pair_of_different_instructions_comes_equally_often() -> None:
    trials = list(listening_trials(range(900_000, 900_060), "canonical"))
    told = Counter((t.episode.target, t.other) for t in trials if t.role == "A")
    assert set(told.values()) == {2}
    assert len(told) == 30


def test_both_instructions_of_a_scene_start_from_the_same_scene_and_swap_roles() -> None:
    for first, second in zip(*[listening_trials(range(60), "held-out")] * 2, strict=True):
        assert (first.role, second.role) == ("A", "B")
        assert replace(first.episode, target=second.episode.target, prompt="") == replace(
            second.episode, prompt=""
        )
        assert (first.episode.target, first.other) == (second.other, second.episode.target)
        assert first.episode.prompt != second.episode.prompt


def test_a_run_that_does_what_it_was_told_obeyed(table: SimTruth) -> None:
    run = red_in_blue_or_green_in_blue()
    assert not run.push(table)
    assert run.push(later(table, 3.0, red="blue"))
    assert (run.obeyed, run.other_done, run.duration_s) == (True, False, 3.0)


def test_a_run_that_does_the_other_task_is_followed_until_it_is_done(table: SimTruth) -> None:
    run = red_in_blue_or_green_in_blue()
    run.push(table)
    carried = later(table, 2.0, green="yellow")  # far from where it lay: not obeyed any more
    assert not run.push(carried)
    assert run.push(later(table, 3.0, green="blue"))
    assert (run.obeyed, run.other_done) == (False, True)
    assert "green cube was moved" in run.reason


def test_nothing_counts_after_the_end_of_a_run(table: SimTruth) -> None:
    run = red_in_blue_or_green_in_blue()
    run.push(table)
    run.push(later(table, TIME_LIMIT_NS * 1e-9))
    assert run.over
    run.push(later(table, 16.0, red="blue"))
    assert not run.obeyed


def test_cubes_count_as_binned_only_in_the_bin_of_the_task_file(table: SimTruth) -> None:
    assert binned(table) == 0
    assert binned(later(table, 1.0, red="blue", green="blue")) == 1
    assert binned(later(table, 1.0, red="blue", green="yellow", blue="yellow")) == len(CUBES)


def test_held_out_wordings_keep_the_task() -> None:
    for plain, other in zip(
        single_trials(range(20), "canonical"), single_trials(range(20), "held-out"), strict=True
    ):
        assert plain.episode.target == other.episode.target
        assert plain.episode.prompt != other.episode.prompt
