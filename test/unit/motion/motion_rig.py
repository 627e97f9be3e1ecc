"""A group of joints under test, a reader of limits that shares no code with the guard, and JTC."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import settings

from vla_ros.motion import JointMotion, MotionLimits, MotionRefused, Setpoint, TrajectoryWindow

MS = 1_000_000
PERIOD_NS = 10 * MS
TOLERANCE = 1e-4  # relative, of each limit; floating point and the solver, nothing else
BETWEEN = 2.0  # jerk between two control ticks, where one quintic stands for a switch of the jerk
SEARCHING = settings.get_current_profile_name() == "search"
# Of a property, the first round of examples is run always, all of them by `make test`.
rounds = pytest.mark.parametrize(
    "again", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2, 3) if not SEARCHING)]
)


def examples(usual: int) -> int:
    """Of a property: the usual number, or that of ``--hypothesis-profile=search``."""
    return settings.default.max_examples if SEARCHING else usual


def arm_limits(joints: int = 6, *, jerk: float = 150.0, reach: float = 3.0) -> MotionLimits:
    return MotionLimits(
        names=tuple(f"joint{i + 1}" for i in range(joints)),
        lower=np.full(joints, -reach),
        upper=np.full(joints, reach),
        velocity=np.full(joints, 2.5),
        acceleration=np.full(joints, 12.0),
        jerk=np.full(joints, jerk),
    )


@dataclass
class Trace:
    """Setpoints one after another."""

    t_ns: list[int] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    setpoints: list[Setpoint] = field(default_factory=list)
    on_tick: list[bool] = field(default_factory=list)

    def add(self, setpoint: Setpoint, *, on_tick: bool = True) -> None:
        self.t_ns.append(setpoint.t_ns)
        self.on_tick.append(on_tick)
        self.states.append(np.stack([setpoint.position, setpoint.velocity, setpoint.acceleration]))
        self.setpoints.append(setpoint)

    @property
    def p(self) -> np.ndarray:
        return np.array(self.states)[:, 0]

    @property
    def v(self) -> np.ndarray:
        return np.array(self.states)[:, 1]

    @property
    def a(self) -> np.ndarray:
        return np.array(self.states)[:, 2]

    @property
    def j(self) -> np.ndarray:
        return np.diff(self.a, axis=0) / np.diff(np.array(self.t_ns) * 1e-9)[:, None]


def assert_obeys(trace: Trace, limits: MotionLimits) -> None:
    """Finite, inside position, velocity, acceleration and jerk limits, and continuous."""
    states = np.array(trace.states)
    assert np.isfinite(states).all()
    more = 1.0 + TOLERANCE
    assert (states[:, 0] >= limits.lower - 1e-5).all(), "below the lower position limit"
    assert (states[:, 0] <= limits.upper + 1e-5).all(), "above the upper position limit"
    assert (np.abs(states[:, 1]) <= limits.velocity * more).all(), "velocity limit"
    assert (np.abs(states[:, 2]) <= limits.acceleration * more).all(), "acceleration limit"
    dt = np.diff(np.array(trace.t_ns) * 1e-9)[:, None]
    dt = np.where(dt > 0, dt, 0.0)
    (dp, dv, da) = np.diff(states, axis=0).swapaxes(0, 1)
    (_, v, a) = states[:-1].swapaxes(0, 1)
    on_tick = np.array(trace.on_tick)
    jerk = limits.jerk * np.where(on_tick[1:] & on_tick[:-1], more, BETWEEN)[:, None]
    slack = 1e-9
    assert (np.abs(da) <= jerk * dt + slack).all(), "jerk limit"
    jerk = jerk * 1.2  # within a tick, jerk may exceed its mean over the tick
    assert (np.abs(dv - a * dt) <= jerk * dt**2 / 2 + slack).all(), "velocity step"
    assert (np.abs(dp - v * dt - a * dt**2 / 2) <= jerk * dt**3 / 6 + slack).all(), "position step"


def jtc_samples(window: TrajectoryWindow, t_ns: np.ndarray) -> np.ndarray:
    """What a JointTrajectoryController commands: quintics between points. Shape (3, n, N).

    Solves for the six coefficients, as joint_trajectory_controller's trajectory.cpp does.
    """
    points = np.stack([window.position, window.velocity, window.acceleration])
    left = np.clip(np.searchsorted(window.t_ns, t_ns, side="right") - 1, 0, len(window.t_ns) - 2)
    out = np.empty((3, len(t_ns), points.shape[2]))
    for n, (i, t) in enumerate(zip(left, t_ns, strict=True)):
        step = (window.t_ns[i + 1] - window.t_ns[i]) * 1e-9
        rows = []
        for x in (0.0, step):
            powers = x ** np.arange(6)
            d1 = np.arange(1, 6) * powers[:5]
            d2 = np.arange(2, 6) * np.arange(1, 5) * powers[:4]
            rows += [powers, np.r_[0.0, d1], np.r_[0.0, 0.0, d2]]
        c = np.linalg.solve(np.array(rows), np.concatenate([points[:, i], points[:, i + 1]]))
        x = min((t - window.t_ns[i]) * 1e-9, step)
        powers = x ** np.arange(6)
        out[0, n] = powers @ c
        out[1, n] = (np.arange(1, 6) * powers[:5]) @ c[1:]
        out[2, n] = (np.arange(2, 6) * np.arange(1, 5) * powers[:4]) @ c[2:]
    return out


class Rig:
    """A JointMotion, its clock, and everything it commanded since the clock last jumped."""

    def __init__(self, limits: MotionLimits, q: np.ndarray | None = None, **settings) -> None:
        self.limits = limits
        self.motion = JointMotion(limits, PERIOD_NS, **settings)
        self.now_ns = 0
        self.trace = Trace()
        self.refusals: list[str] = []
        self.motion.reset(np.zeros(limits.size) if q is None else q, 0)
        self.trace.add(self.motion.advance(0))

    def accept(self, rows, *, dt_ms=50, start_ms=0, valid_ms=None, interpolation="linear") -> bool:
        """Offers a plan whose row 0 is due ``start_ms`` from now; True if it was taken."""
        valid_ns = self.now_ns + int((0 if valid_ms is None else valid_ms) * MS)
        start_ns = self.now_ns + int(start_ms * MS)
        try:
            self.motion.accept(
                start_ns, int(dt_ms * MS), valid_ns, np.asarray(rows), interpolation, self.now_ns
            )
        except MotionRefused as refusal:
            self.refusals.append(str(refusal))
            return False
        return True

    def tick(self, step_ns: int = PERIOD_NS) -> None:
        self.now_ns += step_ns
        setpoint = self.motion.advance(self.now_ns)
        on_tick = (setpoint.t_ns - self.motion._line.origin_ns) % PERIOD_NS == 0
        self.trace.add(setpoint, on_tick=on_tick)

    def run(self, seconds: float, step_ns: int = PERIOD_NS) -> None:
        end_ns = self.now_ns + round(seconds * 1e9)
        while self.now_ns + step_ns <= end_ns:
            self.tick(step_ns)

    def window(self) -> TrajectoryWindow:
        return self.motion.window(self.now_ns, 250 * MS, 20 * MS)

    def check(self) -> None:
        assert_obeys(self.trace, self.limits)
