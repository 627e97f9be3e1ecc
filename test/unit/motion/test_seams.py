"""Where one chunk replaces another nothing jumps, however much the chunks disagree."""

from __future__ import annotations

import numpy as np
import pytest
from motion_rig import Rig, arm_limits

JOINTS = 6
PHASES = 0.7 * np.arange(JOINTS)


def reference(t):
    return 0.5 * np.sin(np.pi * np.asarray(t)[:, None] + PHASES) - 0.5 * np.sin(PHASES)


def closed_chunks(*, noise, dt_ms, rows, every_ms, latency_ms, seconds=6.0, seed=1):
    rng = np.random.default_rng(seed)
    rig = Rig(arm_limits(JOINTS), np.zeros(JOINTS), smoothing_noise_rad=noise)
    seams = []
    for now_ms in range(0, int(seconds * 1000), 10):
        if now_ms >= latency_ms and (now_ms - latency_ms) % every_ms == 0:
            t = (now_ms - latency_ms + dt_ms * np.arange(rows)) * 1e-3
            chunk = reference(t) + rng.normal(0.0, noise, (rows, JOINTS))
            assert rig.accept(chunk, dt_ms=dt_ms, start_ms=-latency_ms)
            seams.append(now_ms // 10)
        rig.tick()
    rig.check()
    return rig, np.array(seams)


@pytest.mark.parametrize(
    "chunks",
    [
        {"noise": 0.003, "dt_ms": 50, "rows": 16, "every_ms": 100, "latency_ms": 60},
        {"noise": 0.003, "dt_ms": 50, "rows": 16, "every_ms": 200, "latency_ms": 60},
        {"noise": 0.005, "dt_ms": 20, "rows": 50, "every_ms": 200, "latency_ms": 100},
        {"noise": 0.002, "dt_ms": 20, "rows": 50, "every_ms": 500, "latency_ms": 300},
    ],
)
def test_acceleration_does_not_jump_at_seams_of_noisy_chunks(chunks) -> None:
    rig, seams = closed_chunks(**chunks)
    jump = np.abs(np.diff(rig.trace.a, axis=0))
    # The step into the switch and the first two of the new chunk, against all others.
    steps = np.arange(len(jump))
    near = np.isin(steps, np.concatenate([seams, seams + 1, seams + 2]))
    settled = steps > 150
    at_seams = np.percentile(jump[near & settled], 99)
    within = np.percentile(jump[~near & settled], 99)
    assert at_seams <= 1.2 * within
    assert max(s.stretch for s in rig.trace.setpoints[150:]) == 1.0
    error = (rig.trace.p - reference(np.array(rig.trace.t_ns) * 1e-9))[150:]
    assert np.sqrt(np.square(error).mean()) < 0.75 * chunks["noise"]


@pytest.mark.parametrize("offset", [0.002, 0.02, 0.1, 0.5, 2.0])
def test_any_offset_between_two_plans_is_taken_up_within_the_limits(offset) -> None:
    rig = Rig(arm_limits(2), np.zeros(2))
    t = np.arange(60)[:, None] * 0.05
    plan = 0.4 * (1 - np.cos(1.5 * t)) * np.array([1.0, -1.0])
    rig.accept(plan)
    rig.run(0.5)
    rig.accept(plan + np.array([offset, 0.0]), start_ms=-500)
    rig.run(1.8)
    rig.check()
    last = rig.trace.setpoints[-1]
    assert last.row == pytest.approx(2300 / 50)
    assert np.abs(last.position - last.reference).max() < 1e-4


def test_a_plan_is_left_for_its_successor_at_the_next_tick() -> None:
    rig = Rig(arm_limits(2), np.zeros(2))
    rig.accept(np.zeros((16, 2)))
    rig.run(0.1)
    rig.accept(np.full((16, 2), 0.05))
    rig.tick()
    rig.tick()
    assert rig.trace.p[-1].min() > 0.0
