"""`vla calibrate-latency` beside cameras and an arm that are processes of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from drivers import small_robot
from stage import Stage, stage

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

LATE_MS = {"front": 82.0, "wrist": 27.0}


@pytest.fixture
def made() -> Iterator[Stage]:
    with stage() as made:
        yield made


def calibrated(made: Stage, robot: Path, *options: str) -> tuple[int, str]:
    """Exit status and output of the verb."""
    verb = [sys.executable, "-m", "vla_ros.cli.main", "calibrate-latency", "--robot", str(robot)]
    process = subprocess.Popen(
        [*verb, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    made.wait(lambda: process.poll() is not None, "the calibration", 150)
    assert process.stdout is not None
    return process.returncode, process.stdout.read()


def test_live_topics_give_each_cameras_latency_and_the_robot_file_gets_it_and_keeps_its_comments(
    made: Stage, tmp_path: Path
) -> None:
    robot = small_robot(tmp_path)
    before = robot.read_text(encoding="utf-8")
    cameras = Path(__file__).with_name("late_cameras.py")
    late = [str(ms * 1e-3) for ms in LATE_MS.values()]
    publisher = subprocess.Popen([sys.executable, str(cameras), *late])
    try:
        status, said = calibrated(made, robot, "--seconds", "36", "--write")
    finally:
        publisher.kill()
        publisher.wait()
    assert status == 0, said
    after = robot.read_text(encoding="utf-8")
    assert set(before.splitlines()) <= set(after.splitlines()), "comments and all else stay"
    written = {
        camera["key"]: camera["latency_s"] * 1e3 for camera in yaml.safe_load(after)["cameras"]
    }
    for key, truth_ms in LATE_MS.items():
        assert written[key] == pytest.approx(truth_ms, abs=5), said
        ends = re.search(rf"✓ {key}: .*between ([-\d.]+) and ([-\d.]+) ms", said)
        assert ends is not None, said
        low, high = map(float, ends.groups())
        assert low <= truth_ms <= high, said


def test_without_joint_states_it_says_what_is_missing(made: Stage, tmp_path: Path) -> None:
    status, said = calibrated(made, small_robot(tmp_path))
    assert status == 1
    assert "nobody publishes /joint_states: start its driver" in said
