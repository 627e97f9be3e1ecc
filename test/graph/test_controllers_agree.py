"""The simulated trajectory controller agrees with ros2_control's own, row by row of one table.

Mock hardware at 500 Hz; runs where ros2_control is installed and sourced.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "sim"))

from controller_cases import CASES, MEASURED, MS, NAMES, Case, message
from real_pair import Pair, real_pair

from benchmarks.mock_hardware import MISSING, executable
from vla_ros.sim.controllers import (
    Measured,
    TrajectoryController,
    TrajectoryMessage,
    TrajectoryRefused,
)

pytestmark = [
    pytest.mark.graph,
    pytest.mark.timeout(300),
    pytest.mark.skipif(executable() is None, reason=MISSING),
]
ARRIVES_NS = 250 * MS
"""The controller has a message by then."""
ARRIVES_UPDATES = 125
SAME_RAD, SAME_RAD_S = 2e-4, 1e-3
"""The controller adds up the periods it measures: up to 0.1 ms beside its stamps."""
UNSAFE = ("accelerations without velocities are refused", "not a number is refused")
"""Rows in which the simulated controller is stricter, on purpose."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with real_pair(tmp_path_factory.mktemp("pair")) as made:
        yield made


def shifted(content: TrajectoryMessage, by_ns: int) -> TrajectoryMessage:
    """The same message on another time line."""
    return replace(content, stamp_ns=content.stamp_ns + by_ns if content.stamp_ns else 0)


def simulated(
    times: np.ndarray, arrivals: list[tuple[int, TrajectoryMessage]], measured: Measured
) -> np.ndarray:
    """Position and velocity of the simulated controller; messages arrive at update k. (n, 2N)."""
    controller = TrajectoryController(NAMES, np.array([0.1, -0.1]))
    rows = []
    bounds = [0, *(k for k, _ in arrivals), len(times)]
    for part, (first, last) in enumerate(itertools.pairwise(bounds)):
        if part:
            with contextlib.suppress(TrajectoryRefused):
                controller.accept(arrivals[part - 1][1], int(times[first]))
        if first < last:
            rows.append(np.hstack(controller.sample(times[first:last], measured)))
    return np.concatenate(rows)


def distance(
    times: np.ndarray,
    real: np.ndarray,
    sent: list[tuple[int, TrajectoryMessage]],
    measured: Measured,
) -> np.ndarray:
    """From the simulated controller whose messages arrive when they did in truth. (n, 2N).

    Nobody tells at which update the controller saw a message: of those after it was sent, the one
    that fits best is taken. Messages sent at once are seen at one update or at two.
    """
    arrivals: list[tuple[int, TrajectoryMessage]] = []
    sent_ns = [t_ns for t_ns, _ in sent]
    for number, (t_ns, content) in enumerate(sent):
        later = [t for t in sent_ns[number + 1 :] if t > t_ns + ARRIVES_NS]
        first = int(np.searchsorted(times, t_ns))
        end = int(np.searchsorted(times, later[0])) if later else len(times)
        soon = [m for t, m in sent[number + 1 :] if t <= t_ns + ARRIVES_NS]
        candidates = [
            [*arrivals, (k, content), *((k + gap, m) for m in soon)]
            for k in range(first, min(first + ARRIVES_UPDATES, len(times)))
            for gap in (0, 1)
        ]
        errors = [
            np.abs(simulated(times[:end], candidate, measured) - real[:end]).max()
            for candidate in candidates
        ]
        arrivals = candidates[int(np.argmin(errors))]
        if soon:
            break
    return np.abs(simulated(times, arrivals, measured) - real)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name not in UNSAFE], ids=lambda case: case.name
)
def test_the_simulated_controller_agrees_with_the_real_one(pair: Pair, case: Case) -> None:
    pair.hold_as_in_the_table()
    begin_ns = pair.now_ns() + 50 * MS
    sent: list[tuple[int, TrajectoryMessage]] = []
    for t_ms, content in sorted(case.sent, key=lambda item: item[0]):
        at_ns = begin_ns + (t_ms - 1000) * MS
        pair.until(at_ns)
        moved = shifted(content, begin_ns - 1000 * MS)
        sent.append((pair.now_ns(), moved))
        pair.send(moved)
    last_ms = min(max(case.expected), 3000)
    pair.heard(max(begin_ns + (last_ms - 1000) * MS, pair.now_ns()) + ARRIVES_NS)
    times, position, velocity = pair.reference.since(begin_ns - 20 * MS)
    error = distance(times, np.hstack([position, velocity]), sent, MEASURED)
    assert error[:, :2].max() < SAME_RAD
    assert error[:, 2:].max() < SAME_RAD_S


def test_the_real_controller_obeys_numbers_that_are_not_finite(pair: Pair) -> None:
    pair.hold_as_in_the_table()
    now_ns = pair.now_ns()
    pair.send(shifted(by_name("not a number is refused"), now_ns - 1000 * MS))
    pair.heard(now_ns + ARRIVES_NS)
    _, position, _ = pair.reference.since(now_ns)
    assert np.isnan(position).any(), "why the bridge refuses such plans"


def test_the_real_controller_goes_to_zero_where_velocities_are_missing(pair: Pair) -> None:
    pair.hold_as_in_the_table()
    now_ns = pair.now_ns()
    unsafe = by_name("accelerations without velocities are refused")
    pair.send(shifted(unsafe, now_ns - 1000 * MS))
    pair.heard(now_ns + ARRIVES_NS)
    _, position, _ = pair.reference.since(now_ns)
    assert (position == 0.0).all(axis=1).any(), "why the bridge sends both"


def by_name(name: str) -> TrajectoryMessage:
    """The message of a row of the table."""
    return next(case for case in CASES if case.name == name).sent[0][1]


def sine_window(first_ns: int) -> TrajectoryMessage:
    """A rolling window of 1 s of a sine. Begins at `first_ns`."""
    t_ns = first_ns + 20 * MS * np.arange(50, dtype=np.int64)
    p, v, a = sine(t_ns)
    v[-1] = a[-1] = 0.0
    return message(first_ns // MS, list((t_ns - first_ns) // MS), list(p), list(v), list(a))


def sine(t_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """0.5 rad, 1 Hz: up to 3.1 rad/s."""
    w = 2.0 * np.pi
    t = (t_ns % 1_000_000_000) * 1e-9
    return 0.5 * np.sin(w * t), 0.5 * w * np.cos(w * t), -0.5 * w * w * np.sin(w * t)


def test_windows_replaced_at_any_phase_and_late_by_up_to_200_ms_never_leave_the_path(
    pair: Pair,
) -> None:
    rng = np.random.default_rng(0)
    begin_ns = at_ns = pair.now_ns()
    while at_ns < begin_ns + 4000 * MS:
        late_ns = int(rng.integers(0, 200 * MS))
        now_ns = pair.now_ns()
        first_ns = (now_ns - late_ns) // MS * MS
        pair.send(sine_window(first_ns))
        at_ns = now_ns + int(rng.integers(5 * MS, 60 * MS))
        pair.until(at_ns)
    pair.heard(pair.now_ns())
    times, position, velocity = pair.reference.since(begin_ns + ARRIVES_NS)
    wanted, speed, _ = sine(times)
    beside_s = 1e-4  # as above
    assert np.abs(position[:, 0] - wanted).max() < beside_s * np.pi
    assert np.abs(velocity[:, 0] - speed).max() < beside_s * 2.0 * np.pi**2


def test_a_window_that_begins_in_the_future_falls_back_to_the_measured_state(pair: Pair) -> None:
    now_ns = pair.now_ns()
    pair.send(sine_window(now_ns // MS * MS))
    pair.until(now_ns + 100 * MS)
    now_ns = pair.now_ns()
    pair.send(sine_window(now_ns // MS * MS + 60 * MS))
    pair.heard(now_ns + 50 * MS)
    _, position, _ = pair.reference.since(now_ns)
    near = np.abs(position[:, 0] - MEASURED.position[0]).min()
    assert near < 0.02, "why windows begin with two points before now"
