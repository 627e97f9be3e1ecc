from __future__ import annotations

import numpy as np
import pytest

from vla_ros.spaces.images import small_grey
from vla_ros.sync.latency import (
    Latency,
    LatencyError,
    estimate_latency,
    picture_change,
)

SECONDS = 60.0
START_NS = 1_700_000_000 * 10**9


def motion(rng: np.random.Generator, t: np.ndarray, joints: int = 3) -> np.ndarray:
    """Minimum-jerk moves between random poses, some with a pause. Shape (len(t), joints)."""
    out = np.empty((len(t), joints))
    pose, now = rng.uniform(-0.5, 0.5, joints), t[0]
    while now <= t[-1]:
        goal, takes = rng.uniform(-0.8, 0.8, joints), rng.uniform(0.4, 1.5)
        pause = rng.choice([0.0, rng.uniform(0.0, 0.5)])
        share = np.clip((t - now) / takes, 0, 1)
        smooth = 10 * share**3 - 15 * share**4 + 6 * share**5
        part = (t >= now) & (t <= now + takes + pause)
        out[part] = (pose + smooth[:, None] * (goal - pose))[part]
        pose, now = goal, now + takes + pause
    return out


def recording(seed: int, latency_s: float, *, drops: float = 0.1) -> tuple[np.ndarray, ...]:
    """A camera of 30 Hz whose gain depends on the pose, and joint states of 125 Hz."""
    rng = np.random.default_rng(seed)
    fine = np.arange(0, SECONDS + 1, 0.002)
    q = motion(rng, fine)
    captured = np.arange(0.5, SECONDS, 1 / 30)
    captured = captured[rng.random(len(captured)) >= drops]

    def at(t: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(t, fine, column) for column in q.T], axis=-1)

    pose = at(captured)
    went = np.abs(np.diff(pose, axis=0)) @ rng.uniform(0.2, 1.0, q.shape[1])
    gain = 20 * (1 + 0.4 * np.sin(2 * pose[1:, 0]))
    changes = gain * went**0.9 + np.abs(rng.normal(0.3, 0.02, len(went)))
    joints = np.arange(0, SECONDS + 1, 1 / 125)
    positions = at(joints) + rng.normal(0, 1e-4, (len(joints), q.shape[1]))
    stamps = START_NS + np.round((captured + latency_s) * 1e9).astype(np.int64)
    return stamps, changes, START_NS + np.round(joints * 1e9).astype(np.int64), positions


def estimate(seed: int, latency_s: float) -> Latency:
    return estimate_latency(*recording(seed, latency_s))


@pytest.mark.parametrize("latency_ms", [0, 31, 80, 150])
def test_a_known_latency_is_found_within_five_milliseconds(latency_ms: int) -> None:
    found = estimate(2, latency_ms * 1e-3)
    assert abs(found.latency_ns * 1e-6 - latency_ms) < 5
    assert found.low_ns * 1e-6 <= latency_ms <= found.high_ns * 1e-6
    assert found.fit > 0.8


def test_a_robot_at_rest_is_refused() -> None:
    stamps, changes, joints, positions = recording(1, 0.05)
    with pytest.raises(LatencyError, match="no joint moved by more than"):
        estimate_latency(stamps, changes, joints, np.zeros_like(positions))


def test_pictures_that_do_not_follow_the_robot_are_refused() -> None:
    stamps, changes, joints, positions = recording(1, 0.05)
    noise = np.random.default_rng(0).normal(5, 1, len(changes))
    with pytest.raises(LatencyError, match="the joints explain"):
        estimate_latency(stamps, noise, joints, positions)


def test_motion_at_an_even_pace_is_refused_because_every_shift_fits() -> None:
    stamps, changes, joints, _ = recording(1, 0.05)
    even = 0.1 * (joints - joints[0])[:, None] * 1e-9
    steady = 3.0 * np.diff(stamps) * 1e-9 + np.random.default_rng(0).normal(0, 0.001, len(changes))
    with pytest.raises(LatencyError):
        estimate_latency(stamps, steady, joints, even)


def test_a_short_recording_is_refused() -> None:
    stamps, changes, joints, positions = recording(1, 0.05)
    with pytest.raises(LatencyError, match="record for longer"):
        estimate_latency(stamps[:200], changes[:199], joints, positions)


def test_clocks_that_disagree_are_refused() -> None:
    stamps, changes, joints, positions = recording(1, 0.9)
    with pytest.raises(LatencyError):
        estimate_latency(stamps, changes, joints, positions)


def test_a_picture_differs_from_itself_by_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    small = small_grey(picture)
    assert small.shape == (120, 160)
    assert picture_change(small, small) == 0
    assert picture_change(small, 255 - small) > 0
