from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from vla_ros.spaces.images import small_grey
from vla_ros.sync.latency import Latency, LatencyError, estimate_latency

pytestmark = pytest.mark.slow

SECONDS = 36.0
START_NS = 1_700_000_000 * 10**9
SEEDS = range(4)
STEP_NS = 50_000_000
"""The recordings' latencies go from 0 to 150 ms in these steps."""


class Recording(NamedTuple):
    """What ``estimate_latency`` takes."""

    stamps: np.ndarray
    pictures: np.ndarray
    joint_stamps: np.ndarray
    positions: np.ndarray


def motion(dice: np.random.Generator, t: np.ndarray, joints: int = 3) -> np.ndarray:
    """Minimum-jerk moves between random poses, some with a pause. Shape (len(t), joints)."""
    out = np.empty((len(t), joints))
    pose, now = dice.uniform(-0.5, 0.5, joints), t[0]
    while now <= t[-1]:
        goal, takes = dice.uniform(-0.8, 0.8, joints), dice.uniform(0.4, 1.5)
        pause = dice.choice([0.0, dice.uniform(0.0, 0.5)])
        share = np.clip((t - now) / takes, 0, 1)
        smooth = 10 * share**3 - 15 * share**4 + 6 * share**5
        part = (t >= now) & (t <= now + takes + pause)
        out[part] = (pose + smooth[:, None] * (goal - pose))[part]
        pose, now = goal, now + takes + pause
    return out


def film(dice: np.random.Generator, poses: np.ndarray) -> np.ndarray:
    """A camera in the hand goes by a blotchy wall, turns, and has noise. Shape (N, 30, 40)."""
    few = dice.uniform(0, 255, (30, 40)).astype(np.float32)
    wall = cv2.resize(few, (240, 180), interpolation=cv2.INTER_CUBIC)
    ways = dice.normal(0, 1, (3, poses.shape[1])) * np.array([[6.0], [6.0], [12.0]])
    pictures = []
    for right, down, turn in poses @ ways.T:
        seen = cv2.getRotationMatrix2D((120, 90), turn, 1)
        seen[:, 2] += (right - 100, down - 75)
        pictures.append(cv2.warpAffine(wall, seen, (40, 30), borderMode=cv2.BORDER_REFLECT))
    return np.array(pictures) + dice.normal(0, 0.5, (len(pictures), 30, 40))


@cache
def recording(seed: int, latency_ns: int, *, seconds: float = SECONDS) -> Recording:
    """A camera of 30 Hz that loses a tenth of its pictures, and joint states of 125 Hz."""
    dice = np.random.default_rng(seed)
    fine = np.arange(0, seconds + 1, 0.002)
    q = motion(dice, fine)

    def at(t: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(t, fine, column) for column in q.T], axis=-1)

    captured = np.arange(0.5, seconds, 1 / 30)
    captured = captured[dice.random(len(captured)) >= 0.1]
    joints = np.arange(0, seconds + 1, 1 / 125)
    positions = at(joints) + dice.normal(0, 1e-4, (len(joints), q.shape[1]))
    return Recording(ns(captured) + latency_ns, film(dice, at(captured)), ns(joints), positions)


def ns(seconds: np.ndarray) -> np.ndarray:
    return START_NS + np.round(seconds * 1e9).astype(np.int64)


@cache
def estimated(seed: int) -> tuple[Latency, int]:
    """The estimate and the truth [ns] of a recording."""
    return estimate_latency(*recording(seed, STEP_NS * seed)), STEP_NS * seed


@pytest.mark.parametrize("seed", SEEDS)
def test_a_known_latency_is_found_within_five_milliseconds(seed: int) -> None:
    found, truth_ns = estimated(seed)
    assert abs(found.latency_ns - truth_ns) < 5_000_000
    assert found.low_ns < found.latency_ns < found.high_ns
    assert found.fit > 0.8
    assert found.clarity > 5


def test_the_interval_holds_the_truth_in_nearly_all_recordings() -> None:
    missed = [
        (found, truth_ns)
        for found, truth_ns in map(estimated, SEEDS)
        if not found.low_ns <= truth_ns <= found.high_ns
    ]
    assert len(missed) <= 1, "95 % intervals"


def test_a_film_played_backwards_has_the_same_latency_forwards_in_time() -> None:
    """Nothing of the time between two pictures goes into the latency, or it would turn its sign."""
    there = recording(1, STEP_NS)
    end_ns = 2 * START_NS + ns(np.array([SECONDS]))[0]
    back = Recording(
        (end_ns - there.stamps + 2 * STEP_NS)[::-1] - START_NS,
        there.pictures[::-1],
        (end_ns - there.joint_stamps)[::-1] - START_NS,
        there.positions[::-1],
    )
    error = estimated(1)[0].latency_ns - STEP_NS
    error_backwards = estimate_latency(*back).latency_ns - STEP_NS
    assert error_backwards == pytest.approx(-error, abs=1_500_000)


def test_joints_that_the_camera_does_not_see_do_no_harm() -> None:
    seen = recording(1, STEP_NS)
    times = (seen.joint_stamps - START_NS) * 1e-9
    other = motion(np.random.default_rng(99), times, joints=5)
    found = estimate_latency(*seen[:3], np.hstack((seen.positions, other)))
    assert abs(found.latency_ns - STEP_NS) < 5_000_000


def test_a_pause_of_the_joint_states_is_not_bridged() -> None:
    """The arm goes on while its states are missing; a line across the gap would be a lie."""
    seen = recording(1, STEP_NS)
    there = np.abs(seen.joint_stamps - seen.joint_stamps[0] - 15 * 10**9) > 10**9
    found = estimate_latency(*seen[:2], seen.joint_stamps[there], seen.positions[there])
    assert abs(found.latency_ns - STEP_NS) < 5_000_000
    assert found.pictures < estimated(1)[0].pictures


def test_a_robot_at_rest_is_refused() -> None:
    seen = recording(1, STEP_NS)
    with pytest.raises(LatencyError, match="no joint moved by more than"):
        estimate_latency(*seen[:3], np.zeros_like(seen.positions))


def test_pictures_that_are_noise_are_refused() -> None:
    seen = recording(1, STEP_NS)
    noise = np.random.default_rng(0).normal(5, 1, seen.pictures.shape)
    with pytest.raises(LatencyError, match="the joints explain"):
        estimate_latency(seen.stamps, noise, *seen[2:])


def test_pictures_that_never_change_are_refused() -> None:
    seen = recording(1, STEP_NS)
    with pytest.raises(LatencyError):
        estimate_latency(seen.stamps, np.zeros_like(seen.pictures), *seen[2:])


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_pictures_of_another_motion_are_refused(seed: int) -> None:
    pictures, joints = recording(seed, STEP_NS * seed), recording(seed + 1, STEP_NS * (seed + 1))
    with pytest.raises(LatencyError):
        estimate_latency(*pictures[:2], *joints[2:])


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_motion_at_an_even_pace_is_refused_because_every_shift_fits(seed: int) -> None:
    dice = np.random.default_rng(seed)
    seen = recording(seed, STEP_NS * seed)
    pace = dice.uniform(-0.1, 0.1, 3)
    when = (seen.stamps - START_NS) * 1e-9
    even = np.outer((seen.joint_stamps - START_NS) * 1e-9, pace)
    with pytest.raises(LatencyError):
        estimate_latency(seen.stamps, film(dice, np.outer(when, pace)), seen.joint_stamps, even)


def test_a_short_recording_is_refused() -> None:
    seen = recording(1, STEP_NS, seconds=15.0)
    with pytest.raises(LatencyError, match="record for 60 s and more"):
        estimate_latency(*seen)


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_clocks_that_disagree_are_refused(seed: int) -> None:
    with pytest.raises(LatencyError, match="clocks that agree"):
        estimate_latency(*recording(seed, 900_000_000))


def test_a_small_picture_is_grey_and_keeps_its_brightness() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    small = small_grey(picture)
    assert small.shape == (30, 40)
    assert small.mean() == pytest.approx(picture.mean(), abs=3)
