"""The closed loop of `motion` over DDS: our bridge and a trajectory controller as processes.

`python -m benchmarks.motion --controller real|sim`. The figures are those of the loop in simulated
time, read from the joint states at 500 Hz; the policy answers after the latency of steady time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Goal, at_most, finish
from benchmarks.motion import JUMP_AT_S, JUMP_RAD, NEAR_RAD, measure
from benchmarks.motion_follower import Follower, runner_of
from benchmarks.motion_loop import Array, Reference, Trace, sines
from benchmarks.motion_rig import ATTEMPTS, Controller, Rig, motion_rig
from vla_ros.chunks import Joining
from vla_ros.ros.task_client import GraphNotUpError

WAYS: tuple[Joining, ...] = ("sync", "blend", "ensemble", "rtc")
GRID_S = 0.002
GOING_MS = 600
"""Without a pause below this latency: 60 % of a chunk."""


def trace_of(rig: Rig, follower: Follower) -> Trace:
    """What the controller did, on an even grid.

    The controller's updates are uneven by some 10 us, which the third difference of the figures
    would take for jerk; a cubic spline through the updates is even.
    """
    from scipy.interpolate import CubicSpline

    t, position, late = rig.path(follower.t0_ns, follower.end_ns)
    if len(t) < 100 or t[-1] < 0.9e-9 * (follower.end_ns - follower.t0_ns):
        raise GraphNotUpError(
            f"heard {len(t)} updates of the controller, expected 500 a second to the end of the "
            "run; is this computer overloaded?"
        )
    grid = np.arange(t[0], t[-1], GRID_S)
    takeovers, last = [], None
    for sent in rig.commanded:
        plan = sent.message.chunk_seq, bytes(sent.message.run_id.uuid)
        if plan != last and np.isfinite(sent.message.chunk_row):
            takeovers.append((sent.stamp_ns - follower.t0_ns) * 1e-9)
        last = plan
    knew = [t_ns * 1e-9 for t_ns, saw_ns in follower.published if saw_ns >= follower.knows_after_ns]
    return Trace(
        t_s=np.asarray(grid, np.float64),
        position=CubicSpline(t, position)(grid),
        takeovers_s=takeovers,
        answers_s=knew[:1],
        stretch=follower.stretch,
        late=late,
    )


def follow(
    rig: Rig, joining: Joining, latency_s: float, seed: int, seconds: float
) -> tuple[Trace, int]:
    """A run along the sines that was not stopped, and how many were."""
    for stops in range(ATTEMPTS):
        follower = Follower(rig, sines, latency_s, seed, runner_of(rig, joining))
        follower.run(seconds)
        if not follower.stopped:
            return trace_of(rig, follower), stops
        print(f"{joining}, {latency_s:g} s: {follower.stopped}", file=sys.stderr)
    raise GraphNotUpError(f"stopped {ATTEMPTS} times, the last time: {follower.stopped}")


def recovery_s(rig: Rig, joining: Joining, latency_s: float, seed: int) -> tuple[float, float]:
    """From a jump of the target at a random phase until the robot is first near, in [s].

    Returns:
        In all, and after the first chunk that knew of it.
    """
    jump_s = JUMP_AT_S + float(np.random.default_rng(seed).uniform(0.0, max(latency_s, 0.2)))
    follower = Follower(rig, _still(0.0), latency_s, seed, runner_of(rig, joining))
    follower.knows_after_ns = round(jump_s * 1e9)
    before, after = _still(0.0), _still(JUMP_RAD)

    def seen(t: Array) -> Array:
        knows = follower.policy.seen_ns >= follower.knows_after_ns
        return after(t) if knows else before(t)

    follower.policy.reference = seen
    follower.run(jump_s + 2.2 * latency_s + 1.0)
    trace = trace_of(rig, follower)
    near = np.abs(trace.position - JUMP_RAD).max(axis=1) < NEAR_RAD
    reached = float(trace.t_s[int(np.argmax(near))]) if near.any() else float("inf")
    first = trace.answers_s[0] if trace.answers_s else float("nan")
    return reached - jump_s, reached - first


def _still(at: float) -> Reference:
    return lambda t: np.full((len(t), 3), at)


def table(
    controller: Controller,
    latencies_ms: Sequence[int],
    seconds: float,
    runs: int,
    trials: int,
    path: Path | None,
) -> int:
    """Measure every way of joining chunks at every latency, without latency first.

    Args:
        controller: Which.
        latencies_ms: Of the inference; the first is the one that others are held against.
        seconds: Of each run along the sines. Of 4 s, 2 settle and the rest has few seams: in
            simulated time the seam figure of single runs is then 0.81 to 1.22 (8 s: 0.96 to 1.09).
        runs: How many of these, each with noise of its own.
        trials: Jumps of the target.
        path: Of the JSON file, if one is wanted.
    """
    rows: list[dict[str, Any]] = []
    with motion_rig(controller) as rig:
        for way in WAYS:
            calm = float("nan")
            for latency in latencies_ms:
                seeds = range(1, runs + 1)
                done = [follow(rig, way, latency * 1e-3, seed, seconds) for seed in seeds]
                stops = sum(stopped for _, stopped in done)
                row = measure([trace for trace, _ in done]) | {"stopped": stops}
                row |= {"late updates": sum(trace.late for trace, _ in done)}
                calm = row["path rms [mrad]"] if latency == latencies_ms[0] else calm
                times = [recovery_s(rig, way, latency * 1e-3, seed) for seed in range(trials)]
                total, after = (float(mean) for mean in np.mean(times, axis=0))
                row |= {"rms / no latency [1]": row["path rms [mrad]"] / calm}
                row |= {"recovery [s]": total, "recovery, after [s]": after}
                rows.append({"way": way, "latency [ms]": latency, **row})
                print(rows[-1], file=sys.stderr)  # of a table that takes half an hour
    goals = [goal for way in ("blend", "rtc") for goal in _goals(rows, way)]
    return finish(f"Motion under latency over DDS, {controller} controller", rows, goals, path)


def _goals(rows: list[dict[str, Any]], way: str) -> list[Goal]:
    mine = [row for row in rows if row["way"] == way]
    going = [row for row in mine if row["latency [ms]"] < GOING_MS]
    bounds = {
        "seam / within [1]": (1.2, going),
        "velocity step [rad/s]": (0.15, mine),
        "slow ticks [%]": (0.0, going),
        "stopped": (0.0, mine),
    }
    return [
        at_most(
            f"{way}: {name}, latency up to {of[-1]['latency [ms]']} ms",
            bound,
            max(row[name] for row in of),
        )
        for name, (bound, of) in bounds.items()
    ]
