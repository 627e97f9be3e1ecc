"""The bridge on a busy computer: 10 minutes at 100 Hz with a busy process for every core.

Then again with a real-time priority for the bridge, where that is permitted.

The control_bridge sends rolling windows to a trajectory controller (ros2_control's own where it is
installed, else the simulated one as a process) along a reference up to 1.57 rad/s. Periods come
from the time stamps that DDS puts on what the bridge writes: the listener's delays do not count.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.commanded_curve import off_the_curve
from benchmarks.harness import arguments, at_most, finish
from benchmarks.mock_hardware import executable
from benchmarks.motion_follower import Follower, runner_of
from benchmarks.motion_loop import sines
from benchmarks.motion_rig import Controller, Rig, motion_rig
from benchmarks.motion_robot import LOOKAHEAD_S
from vla_ros.cli.processes import dies_with_us

STRETCH_S, LATENCY_S, PERIOD_MS = 20.0, 0.1, 10.0
PRIORITY = 40
MISSED_MS = 2 * PERIOD_MS


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Processes that do nothing but compute."""
    argv = [sys.executable, "-S", "-c", "while True: pass"]
    running = [subprocess.Popen(argv, preexec_fn=dies_with_us()) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def stretch(rig: Rig, seed: int, seconds: float) -> dict[str, Any]:
    """Follow the reference for a while; all that was measured."""
    follower = Follower(rig, sines, LATENCY_S, seed, runner_of(rig, "rtc"))
    misses = rig.status.deadline_misses if rig.status else 0
    follower.run(seconds)
    t, path, _ = rig.path(follower.t0_ns, follower.end_ns)
    times = np.asarray(follower.t0_ns + np.round(t * 1e9), np.int64)
    written = [s.written_ns for s in rig.commanded if s.written_ns >= follower.t0_ns]
    windows = [s.written_ns for s in rig.windows if s.written_ns >= follower.t0_ns]
    return {
        "periods_ms": np.diff(written) * 1e-6,
        "gaps_ms": np.diff(windows) * 1e-6,
        "updates_ms": np.diff(t) * 1e3,
        "off_mrad": 1e3 * off_the_curve(times, path, [s.message for s in rig.commanded]),
        "misses": (rig.status.deadline_misses if rig.status else 0) - misses,
        "stopped": follower.stopped,
    }


def measure(
    controller: Controller, load: int, seconds: float, priority: int
) -> list[dict[str, Any]]:
    """All stretches."""
    with motion_rig(controller, priority) as rig, busy(load):
        count = max(1, round(seconds / STRETCH_S))
        return [stretch(rig, seed, min(seconds, STRETCH_S)) for seed in range(count)]


def permitted() -> bool:
    """Whether a process may take a real-time priority here."""
    try_it = f"from vla_ros.ros.priority import claim; exit(bool(claim({PRIORITY})))"
    return subprocess.run([sys.executable, "-c", try_it]).returncode == 0


def figures_of(parts: list[dict[str, Any]]) -> dict[str, float]:
    """What the table shows of one load."""
    periods, gaps, updates, off = (
        np.concatenate([part[key] for part in parts])
        for key in ("periods_ms", "gaps_ms", "updates_ms", "off_mrad")
    )
    return {
        "control periods": len(periods),
        "control period, median [ms]": float(np.median(periods)),
        "control period, p99 [ms]": float(np.percentile(periods, 99)),
        "control period, longest [ms]": float(periods.max()),
        "control periods longer than two": int((periods > MISSED_MS).sum()),
        "deadlines missed, by the bridge's own count": sum(part["misses"] for part in parts),
        "from window to window, longest [ms]": float(gaps.max()),
        "windows that ran out before the next": int((gaps > LOOKAHEAD_S * 1e3).sum()),
        "controller's period, p99 [ms]": float(np.percentile(updates, 99)),
        "controller off the commanded curve, p99 [mrad]": float(np.percentile(off, 99)),
        "controller off the commanded curve, largest [mrad]": float(off.max()),
        "stops": sum(bool(part["stopped"]) for part in parts),
    }


def main() -> int:
    """Run it."""
    parser = arguments(__doc__ or "")
    found: Controller = "real" if executable() else "sim"
    parser.add_argument("--controller", choices=("real", "sim"), default=found)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    seconds = 10.0 if options.quick else 60.0 * options.minutes
    calm = 10.0 if options.quick else 60.0
    cores = os.cpu_count() or 1
    cases = {"0 busy": (0, calm, 0), f"{cores} busy": (cores, seconds, 0)}
    last = f"{cores} busy"
    if permitted():
        last = f"{cores} busy, realtime_priority {PRIORITY}"
        cases[last] = (cores, seconds, PRIORITY)
    figures = {}
    for case, (load, duration, priority) in cases.items():
        parts = measure(options.controller, load, duration, priority)
        figures[case] = figures_of(parts)
        for part in parts:
            if part["stopped"]:
                print(f"{case}: {part['stopped']}", file=sys.stderr)
    worst = figures[last]
    rows = [{"figure": name} | {case: figures[case][name] for case in cases} for name in worst]
    off = "controller off the commanded curve, p99 [mrad]"
    goals = [
        at_most(f"{name}, {last}", bound, worst[name])
        for name, bound in (
            ("control period, p99 [ms]", MISSED_MS),
            ("windows that ran out before the next", 0.0),
            ("stops", 0.0),
            (off, 1.0),
        )
    ]
    return finish(f"Stress, {options.controller} controller", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
