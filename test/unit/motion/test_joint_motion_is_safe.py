"""Whatever is asked for, in whatever order: every setpoint is finite, limited and continuous."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from motion_rig import MS, Rig, arm_limits, examples

from vla_ros.motion import MotionLimits, MotionRefused

JOINTS = 2
LIMITS = arm_limits(JOINTS, reach=1.5)

plans = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            ["near", "random", "huge", "nan", "inf", "sine", "ends_at_limit", "steps", "fast_exit"]
        ),
        "seed": st.integers(0, 10_000),
        "count": st.integers(1, 30),
        "dt_ms": st.sampled_from([0.001, 1, 7, 10, 20, 33.3, 50, 100, 400]),
        "start_ms": st.sampled_from([-1e6, -500, -133, -60, -7.3, 0, 0, 10, 45, 300, 1e6]),
        "valid_ms": st.sampled_from([-1e5, -20, 0, 0, 0, 5, 30, 200, 1e7]),
        "interpolation": st.sampled_from(["hold", "linear"]),
    }
)
steps = st.one_of(
    st.tuples(st.just("plan"), plans),
    st.tuples(st.just("plan"), plans),
    st.tuples(st.just("run"), st.sampled_from([0.01, 0.03, 0.1, 0.25, 1.0])),
    st.tuples(st.just("run"), st.sampled_from([0.01, 0.03, 0.1, 0.25, 1.0])),
    st.tuples(st.just("jitter"), st.lists(st.integers(1, 40 * MS), max_size=8)),
    st.tuples(st.just("stop"), st.none()),
    st.tuples(
        st.just("go_to"), st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.01, 1.0))
    ),
    st.tuples(st.just("jump"), st.sampled_from([-3_600_000, -700, -15, 260, 900, 10**9])),
    st.tuples(st.just("reset"), st.floats(-1.5, 1.5)),
    st.tuples(st.just("window"), st.none()),
)


def rows_of(kind: str, seed: int, count: int, dt_ms: float, here: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(count)[:, None] * dt_ms * 1e-3
    if kind == "near":
        return here + np.cumsum(rng.normal(0.0, 0.02, (count, JOINTS)), axis=0)
    if kind == "random":
        return rng.uniform(-2.0, 2.0, (count, JOINTS))
    if kind == "huge":
        return rng.normal(0.0, 10.0 ** rng.uniform(1, 300), (count, JOINTS))
    if kind in ("nan", "inf"):
        rows = here + np.zeros((count, JOINTS))
        rows[rng.integers(count), rng.integers(JOINTS)] = np.nan if kind == "nan" else np.inf
        return rows
    if kind == "sine":
        return 0.8 * np.sin(rng.uniform(0.5, 12.0) * t + rng.uniform(0, 6.0, JOINTS))
    if kind == "ends_at_limit":
        return here + (np.sign(rng.normal(size=JOINTS)) * 1.5 - here) * np.minimum(t, 1.0)
    if kind == "fast_exit":
        return here + rng.uniform(-2.4, 2.4, JOINTS) * t
    return here + 0.4 * np.sign(np.sin(20.0 * t + rng.uniform(0, 6, JOINTS)))


def play(actions, limits: MotionLimits = LIMITS, **settings_) -> Rig:
    rig = Rig(limits, np.zeros(JOINTS), **settings_)
    for name, value in actions:
        if name == "plan":
            here = rig.trace.p[-1]
            rows = rows_of(value["kind"], value["seed"], value["count"], value["dt_ms"], here)
            rig.accept(
                rows,
                dt_ms=value["dt_ms"],
                start_ms=value["start_ms"],
                valid_ms=value["valid_ms"],
                interpolation=value["interpolation"],
            )
        elif name == "run":
            rig.run(value)
        elif name == "jitter":
            for step_ns in value:
                rig.tick(step_ns)
        elif name == "stop":
            rig.motion.stop(rig.now_ns)
        elif name == "go_to":
            try:
                rig.motion.go_to(np.array(value[:2]), rig.now_ns, value[2])
            except MotionRefused:
                continue
        elif name == "jump":
            streaming = rig.motion._brake_ns is None
            before = rig.trace.states[-1]
            moving = bool(before[1:].any())
            rig.now_ns += value * MS
            setpoint = rig.motion.advance(rig.now_ns)
            if value < 0 or (streaming and moving):
                # The robot stands where it was: no fast-forward, no jump.
                assert np.allclose(setpoint.position, before[0], atol=1e-9)
            assert (np.abs(setpoint.position - before[0]) <= limits.velocity * 0.9 + 1e-6).all()
            rig.check()
            rig.trace = type(rig.trace)()
            rig.trace.add(setpoint)
        elif name == "reset":
            rig.check()
            inside = np.clip(value, limits.lower, limits.upper)
            rig.motion.reset(inside, rig.now_ns)
            rig.trace = type(rig.trace)()
            rig.trace.add(rig.motion.advance(rig.now_ns))
        elif name == "window":
            rig.window()
    rig.motion.stop(rig.now_ns)
    slowest = (limits.velocity / limits.acceleration + limits.acceleration / limits.jerk).max()
    rig.run(0.1 + 1.1 * slowest)
    assert rig.motion.state == "HOLDING"
    assert not rig.trace.v[-1].any()
    rig.check()
    return rig


sequences = st.lists(steps, min_size=1, max_size=10)
per_joint = lambda low, high: st.tuples(*[st.floats(low, high)] * JOINTS).map(np.exp)  # noqa: E731
any_limits = st.builds(
    lambda reach, free, velocity, acceleration, jerk: MotionLimits(
        names=("joint1", "joint2"),
        lower=np.where(free, -np.inf, -reach),
        upper=np.where(free, np.inf, reach),
        velocity=velocity,
        acceleration=acceleration,
        jerk=jerk,
    ),
    per_joint(-3.0, 1.0),  # 50 mrad to 2.7 rad
    st.tuples(*[st.booleans()] * JOINTS),
    per_joint(-2.3, 1.6),  # 0.1 to 5 rad/s
    per_joint(-0.7, 4.0),  # 0.5 to 55 rad/s^2
    per_joint(1.6, 8.0),  # 5 to 3000 rad/s^3
)
noises = st.sampled_from([0.0, 0.003])


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(sequences, noises)
def test_any_sequence_of_requests_stays_inside_all_limits(actions, noise) -> None:
    play(actions, smoothing_noise_rad=noise)


@pytest.mark.slow
@settings(max_examples=examples(600), deadline=None, suppress_health_check=list(HealthCheck))
@given(sequences, noises)
def test_any_of_many_sequences_of_requests_stays_inside_all_limits(actions, noise) -> None:
    play(actions, smoothing_noise_rad=noise)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(sequences, noises, any_limits)
def test_any_sequence_of_requests_stays_inside_any_limits(actions, noise, limits) -> None:
    play(actions, limits, smoothing_noise_rad=noise)


@pytest.mark.parametrize("way", [1e-7, 1e-6, 5e-6, 7.4e-6, 1e-5, 3e-5])
@pytest.mark.parametrize("after_ns", [1, 1000, 10 * MS - 1])
def test_a_tiny_move_keeps_the_jerk_between_ticks_too(way, after_ns) -> None:
    """Found by search: 7.4e-6 rad, read 1 ns after the tick at which the move begins."""
    play([("go_to", (way, 0.0, 1.0)), ("run", 0.01), ("jitter", [after_ns])])


@pytest.mark.parametrize("jerk", [403.42879349, 1500.0, 1e5])
@pytest.mark.parametrize("after_ns", [1_000_000, 3_837_559, 8_000_000])
def test_a_jerk_limit_that_one_period_cannot_show_keeps_the_acceleration_between_ticks(
    jerk, after_ns
) -> None:
    """Found by search: all of the acceleration is built up in 2.5 ms, with samples every 10 ms."""
    limits = MotionLimits(
        names=("joint1", "joint2"),
        lower=np.full(2, -1.0),
        upper=np.full(2, 1.0),
        velocity=np.ones(2),
        acceleration=np.ones(2),
        jerk=np.array([4.96, jerk]),
    )
    one_row = {"kind": "near", "count": 1, "valid_ms": -1e5, "interpolation": "hold"}
    plan = one_row | {"seed": 1, "start_ms": 0, "dt_ms": 33.3}
    play([("plan", plan), ("run", 0.01), ("stop", None), ("jitter", [after_ns])], limits)
