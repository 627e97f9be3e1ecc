"""A plan that is too fast runs slower as a whole: same path, all joints together."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_rig import Rig, arm_limits, examples, rounds

LIMITS = arm_limits(3, jerk=300.0)


def too_fast(seed: int, speed: float) -> np.ndarray:
    """Rows every 20 ms of a motion along a curved path that starts and ends at rest."""
    rng = np.random.default_rng(seed)
    u = np.linspace(0.0, 1.0, 50)
    s = u**4 * (35 - 84 * u + 70 * u**2 - 20 * u**3)
    bow = rng.uniform(-0.3, 0.3, 3) * np.sin(np.pi * s)[:, None]
    return speed * (rng.uniform(-0.8, 0.8, 3) * s[:, None] + bow)


def distance_to_path(points: np.ndarray, path: np.ndarray) -> float:
    a, b = path[:-1], path[1:]
    ab = b - a
    along = np.einsum("pik,ik->pi", points[:, None] - a, ab) / np.maximum((ab**2).sum(-1), 1e-18)
    nearest = a + np.clip(along, 0.0, 1.0)[..., None] * ab
    return float(np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1).max())


@rounds
@settings(max_examples=examples(8), deadline=None)
@given(st.integers(0, 10_000), st.floats(1.0, 6.0))
def test_scaling_keeps_the_path_of_the_group(again, seed, speed) -> None:
    rows = too_fast(seed, speed)
    rig = Rig(arm_limits(3, jerk=300.0, reach=20.0), np.zeros(3))
    taken = rig.accept(rows, dt_ms=20)
    rig.run(4.5)
    rig.check()
    if not taken:
        assert "times slower" in rig.motion.fault
        return
    scale = max(s.stretch for s in rig.trace.setpoints)
    fine = np.array([np.interp(np.linspace(0, 49, 2000), np.arange(50), row) for row in rows.T]).T
    assert distance_to_path(rig.trace.p, fine) < 2e-3 * speed
    assert np.abs(rig.trace.p[-1] - rows[-1]).max() < 1e-3 * speed
    moving = np.flatnonzero(np.abs(rig.trace.v).max(axis=1) > 1e-3)[-1] * 0.01
    assert moving <= 0.98 * scale + 0.1


def test_the_factor_is_the_tightest_joints_and_says_which_limit() -> None:
    rows = np.zeros((50, 3))
    rows[:, 1] = 1.6 * too_fast(1, 1.0)[:, 0] / np.abs(too_fast(1, 1.0)[-1, 0])
    rig = Rig(LIMITS, np.zeros(3))
    assert rig.accept(rows, dt_ms=20)
    rig.run(0.5)
    setpoint = rig.trace.setpoints[-1]
    assert 1.2 < setpoint.stretch < 2.0
    assert setpoint.limited[1] & 2
    assert not setpoint.limited[[0, 2]].any()


def test_the_next_plan_enters_at_the_row_its_stamps_make_due() -> None:
    rows = 3.0 * too_fast(2, 1.0)
    rig = Rig(LIMITS, np.zeros(3))
    assert rig.accept(rows, dt_ms=20)
    rig.run(0.3)
    assert rig.trace.setpoints[-1].row < 14.0
    assert rig.accept(rows, dt_ms=20, start_ms=-300)
    rig.tick()
    assert rig.trace.setpoints[-1].row == 15.5
    rig.run(1.0)
    rig.check()


def test_a_plan_that_would_crawl_is_refused_with_a_stop() -> None:
    rig = Rig(LIMITS, np.zeros(3))
    rig.accept(too_fast(3, 1.0), dt_ms=20)
    rig.run(0.3)
    assert not rig.accept(np.sign(np.sin(np.arange(90)))[:20, None] * np.ones(3), dt_ms=10)
    assert "times slower" in rig.refusals[-1]
    rig.tick()
    assert rig.motion.state == "BRAKING"
    rig.run(0.5)
    rig.check()
    assert rig.motion.state == "HOLDING"
    assert not rig.accept(np.tile(rig.trace.p[-1], (10, 1)))
    rig.motion.reset(rig.trace.p[-1], rig.now_ns)
    assert rig.accept(np.tile(rig.trace.p[-1], (10, 1)))
