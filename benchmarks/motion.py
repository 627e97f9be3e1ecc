"""What a robot feels of inference latency: seams, jerk, path, lag, pauses and reaction.

Closed loop in simulated time (`motion_loop`): 50 rows at 50 Hz from a policy that acts on the
observed state and whose samples carry noise, three joints up to 1.57 rad/s, a trajectory controller
with the rules of ros2_control's, read at 500 Hz. ``naive`` clients switch to each chunk when it
arrives: one counts rows from the arrival, one takes the row that is due.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Goal, arguments, at_most, finish
from benchmarks.motion_figures import SHOWN, draw_latency, draw_seams
from benchmarks.motion_loop import (
    LIMITS,
    PERIOD_NS,
    ROWS,
    Array,
    Loop,
    Naive,
    Ours,
    Trace,
    sines,
)
from vla_ros.motion.ruckig_moves import Mover

SECONDS, SETTLED_S, TICK_S, MS = 8.0, 2.0, PERIOD_NS * 1e-9, 1_000_000
LATENCIES_MS = (0, 100, 200, 400, 590, 800)
CHUNK_MS = ROWS * 20
JUMP_RAD, NEAR_RAD, JUMP_AT_S = 0.1, 0.03, 2.5
WAYS: dict[str, Callable[..., Loop]] = {
    "sync": partial(Ours, joining="sync", execute_ns=800 * MS),
    "blend": partial(Ours, joining="blend"),
    "ensemble": partial(Ours, joining="ensemble"),
    "rtc": partial(Ours, joining="rtc"),
    "rtc, none": partial(Ours, joining="rtc", jacobian="none"),
    "rtc, full": partial(Ours, joining="rtc", jacobian="full"),
    "naive": partial(Naive, skip=False),
    "naive, due row": partial(Naive, skip=True),
}
GOALS_FOR = ("blend", "ensemble", "rtc", "rtc, none", "rtc, full")
RHYTHM_MS = 200


def lag_and_rms(traces: list[Trace]) -> tuple[int, float]:
    """The lag in [ms] at which the paths are closest to the reference, and how close in [rad]."""
    t = np.concatenate([trace.t_s[trace.t_s > SETTLED_S] for trace in traces])
    p = np.concatenate([trace.position[trace.t_s > SETTLED_S] for trace in traces])
    lags_ms = range(-100, 1200, 5)
    squares = [float(np.square(p - sines(t - lag * 1e-3)).mean()) for lag in lags_ms]
    best = int(np.argmin(squares))
    return lags_ms[best], squares[best] ** 0.5


def jumps(trace: Trace) -> tuple[Array, Array]:
    """Steps of the acceleration from tick to tick: at seams, and elsewhere.

    Seam: the switch of plans and three ticks after it.
    """
    t = trace.t_s[::5]
    jump = np.abs(np.diff(trace.position[::5], n=3, axis=0)).max(axis=1) / TICK_S**2
    at = t[2:-1]
    near = np.zeros(len(at), dtype=bool)
    for takeover in trace.takeovers_s:
        near |= (at > takeover - 1.5 * TICK_S) & (at < takeover + 3.5 * TICK_S)
    settled = at > SETTLED_S
    return jump[near & settled], jump[~near & settled]


def slow_share(trace: Trace) -> float:
    """Share of ticks below a tenth of the reference's speed, where that asks for motion."""
    t, v = trace.t_s[::5], np.diff(trace.position[::5], axis=0) / TICK_S
    wanted = np.linalg.norm(np.gradient(sines(t), TICK_S, axis=0), axis=1)[:-1]
    asks = (wanted > 0.1 * wanted.max()) & (t[:-1] > SETTLED_S)
    return float((np.linalg.norm(v, axis=1) < 0.1 * wanted)[asks].mean())


def velocity_step(trace: Trace) -> float:
    """The largest within 2 ms, in [rad/s]."""
    v = np.diff(trace.position, axis=0) / np.diff(trace.t_s)[:, None]
    return float(np.abs(np.diff(v, axis=0)).max(axis=1)[trace.t_s[1:-1] > SETTLED_S].max())


def measure(traces: list[Trace]) -> dict[str, float]:
    """Figures of the runs of some seeds, together."""
    at_seams, inside = (np.concatenate(part) for part in zip(*map(jumps, traces), strict=True))
    enough = at_seams.size > 0 and inside.size > 20
    lag_ms, rms = lag_and_rms(traces)
    return {
        "seam / within [1]": float(np.percentile(at_seams, 99) / np.percentile(inside, 99))
        if enough
        else float("nan"),
        "velocity step [rad/s]": max(map(velocity_step, traces)),
        "peak jerk [rad/s3]": float(np.concatenate([at_seams, inside]).max() / TICK_S),
        "lag [ms]": lag_ms,
        "path rms [mrad]": rms * 1e3,
        "slow ticks [%]": 100.0 * max(map(slow_share, traces)),
        "slowed [1]": max(trace.stretch for trace in traces),
        "stopped": sum(bool(trace.fault) for trace in traces),
    }


def rms_without_latency(way: str, latency_ms: int, seconds: float, seeds: int) -> float:
    """Path rms without latency, inferring as seldom as this latency allows, in [rad].

    A chunk has a deviation of its own, and how much of it is left depends on how many chunks are
    averaged: inferring more often makes a better path, whatever the latency.
    """
    execute_ns = max(RHYTHM_MS, latency_ms + round(TICK_S * 1e3)) * MS
    runs = [WAYS[way](sines, 0.0, seed, execute_ns=execute_ns) for seed in range(1, seeds + 1)]
    return lag_and_rms([run.run(seconds) for run in runs])[1]


def quickest_s() -> float:
    """How long the limits alone need from rest to being near the target after its jump, in [s]."""
    here, there = np.zeros((3, 3)), np.zeros((3, 3))
    there[0] = JUMP_RAD
    move = Mover(LIMITS).to(here, there)
    assert move is not None
    t = np.arange(0.0, move.duration_s, 1e-3)
    return float(t[np.argmax(move.sample(t)[0, :, 0] > JUMP_RAD - NEAR_RAD)])


def recovery(way: str, latency_s: float, seeds: int) -> tuple[float, float]:
    """From a jump of the target at a random phase until the robot is first near, in [s].

    Returns:
        Mean over seeds, and the mean without the time until the first chunk that knew of it.
    """
    total, after = [], []
    for seed in range(seeds):
        phase = float(np.random.default_rng(seed).uniform(0.0, max(latency_s, 0.2)))
        jump_s = JUMP_AT_S + phase
        loop = WAYS[way](lambda t: np.zeros((len(t), 3)), latency_s, seed)
        loop.knows_after_ns = round(jump_s * 1e9)
        calm, moved = loop.policy.reference, _jumped()

        def seen(t: Array, loop: Loop = loop, calm: Any = calm, moved: Any = moved) -> Array:
            return moved(t) if loop.policy.seen_ns >= loop.knows_after_ns else calm(t)

        loop.policy.reference = seen
        trace = loop.run(jump_s + 2.2 * latency_s + 1.0)
        near = np.abs(trace.position - JUMP_RAD).max(axis=1) < NEAR_RAD
        reached = float(trace.t_s[int(np.argmax(near))]) if near.any() else float("inf")
        total.append(reached - jump_s)
        after.append(reached - (trace.answers_s[0] if trace.answers_s else float("nan")))
    return float(np.mean(total)), float(np.mean(after))


def _jumped() -> Callable[[Array], Array]:
    return lambda t: np.full((len(t), 3), JUMP_RAD)


def goals_of(figures: dict[tuple[str, int], dict[str, float]], way: str) -> list[Goal]:
    """The goals, for a way of joining chunks."""
    mine = {latency: row for (name, latency), row in figures.items() if name == way}
    short = [row for latency, row in mine.items() if latency < 0.45 * CHUNK_MS]
    going = [row for latency, row in mine.items() if latency < 0.6 * CHUNK_MS]
    lag0 = mine[0]["lag [ms]"]
    return [
        at_most(
            f"{way}: seam acceleration jump / within-chunk p99, latency < 600 ms",
            1.2,
            max(row["seam / within [1]"] for row in going),
        ),
        at_most(
            f"{way}: velocity step in 2 ms [rad/s]",
            0.15,
            max(row["velocity step [rad/s]"] for row in mine.values()),
        ),
        at_most(
            f"{way}: path rms / zero-latency run of the same rhythm, latency < 450 ms",
            1.1,
            max(row["rms / no latency [1]"] for row in short),
        ),
        at_most(
            f"{way}: added lag [ms], latency < 450 ms",
            10.0,
            max(row["lag [ms]"] for row in short) - lag0,
        ),
        at_most(
            f"{way}: slow ticks [%], latency < 600 ms",
            0.0,
            max(row["slow ticks [%]"] for row in going),
        ),
        at_most(
            f"{way}: recovery after the first chunk that knows [s], latency < 450 ms "
            f"(the limits alone take {quickest_s():.2f})",
            0.25,
            max(row["recovery, after [s]"] for row in short),
        ),
    ]


def over_dds(controller: Any, latencies: tuple[int, ...], *, quick: bool, path: Path | None) -> int:
    """The same figures with processes in between, in real time."""
    from benchmarks.motion_dds import table

    runs, trials = (1, 1) if quick else (3, 2)
    return table(controller, latencies, SECONDS, runs, trials, path)


def main() -> int:
    """Run the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--plot", type=Path, help="draw the figures of the documentation here")
    parser.add_argument(
        "--controller",
        choices=("sim", "real"),
        help="over DDS, with this controller",
    )
    options = parser.parse_args()
    latencies = (0, 400) if options.quick else LATENCIES_MS
    if options.controller:
        return over_dds(options.controller, latencies, quick=options.quick, path=options.json)
    seconds, seeds, jumped = (4.0, 2, 2) if options.quick else (SECONDS, 4, 8)
    traces: dict[tuple[str, int], Trace] = {}
    figures: dict[tuple[str, int], dict[str, float]] = {}
    rows: list[dict[str, Any]] = []
    for way, make in WAYS.items():
        for latency in latencies:
            runs = [make(sines, latency * 1e-3, seed) for seed in range(1, seeds + 1)]
            done = [run.run(seconds) for run in runs]
            row = measure(done)
            calm = float("nan")
            if way in GOALS_FOR:
                calm = rms_without_latency(way, latency, seconds, seeds) * 1e3
            row |= {"rms / no latency [1]": row["path rms [mrad]"] / calm}
            total, after = recovery(way, latency * 1e-3, jumped)
            row |= {"recovery [s]": total, "recovery, after [s]": after}
            traces[way, latency], figures[way, latency] = done[0], row
            rows.append({"way": way, "latency [ms]": latency, **row})
    goals = [goal for way in GOALS_FOR for goal in goals_of(figures, way)]
    if options.plot is not None:
        draw_seams({way: traces[way, 400] for way in SHOWN}, options.plot / "motion_seams.png")
        draw_latency(rows, options.plot / "motion_latency.png")
    return finish("Motion under latency (simulated time)", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
