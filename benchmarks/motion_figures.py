"""The figures of docs/motion.md, from the runs of `benchmarks.motion`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from benchmarks.motion_loop import LIMITS, PERIOD_NS, Trace, sines

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TICK_S = PERIOD_NS * 1e-9
SHOWN = {
    "naive": ("switch at arrival", "#d1495b"),
    "naive, due row": ("send the row that is due", "#c77d1e"),
    "blend": ("vla_ros (blend)", "#00798c"),
}
COLOURS = {
    "blend": "#00798c",
    "ensemble": "#5b8e3e",
    "rtc": "#30638e",
    "rtc, none": "#8fb8d8",
    "rtc, full": "#7b4fa3",
    "naive, due row": "#c77d1e",
    "naive": "#d1495b",
}
PANELS = (
    ("path rms [mrad]", "log"),
    ("lag [ms]", "linear"),
    ("peak jerk [rad/s3]", "log"),
    ("recovery, after [s]", "linear"),
)
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def draw_seams(traces: Mapping[str, Trace], path: Path) -> None:
    """Position, velocity and acceleration of one joint, a column for each way."""
    figure, axes = plt.subplots(3, len(SHOWN), figsize=(12.5, 6.4), sharex=True, sharey="row")
    for column, (way, (title, colour)) in zip(axes.T, SHOWN.items(), strict=True):
        trace = traces[way]
        t, p = trace.t_s[::5], trace.position[::5, 0]
        v = np.gradient(p, TICK_S)
        a = np.gradient(v, TICK_S)
        reference = sines(t)[:, 0]
        asked = (reference, np.gradient(reference, TICK_S))
        for axis, values in zip(column, (p, v, a), strict=True):
            axis.plot(t, values, color=colour, lw=1.4)
            for takeover in trace.takeovers_s:
                axis.axvline(takeover, color="0.85", lw=0.8, zorder=0)
            axis.set_xlim(2.0, min(4.5, trace.t_s[-1]))
        for axis, values in zip(column, asked, strict=False):
            axis.plot(t, values, color="0.25", lw=1.0, ls=(0, (4, 3)), label="reference")
        column[0].set_title(title, loc="left", color=colour, fontweight="bold")
        for axis, limit in ((column[1], LIMITS.velocity[0]), (column[2], LIMITS.acceleration[0])):
            axis.axhline(limit, color="0.6", lw=0.8, ls=":")
            axis.axhline(-limit, color="0.6", lw=0.8, ls=":", label="limit")
        column[2].set_xlabel("time [s]   (grey lines: a chunk takes over)")
    labels = ("position [rad]", "velocity [rad/s]", "acceleration [rad/s\u00b2]")
    for axis, label in zip(axes[:, 0], labels, strict=True):
        axis.set_ylabel(label)
    axes[0, -1].legend(loc="lower left", frameon=False)
    axes[2, -1].legend(loc="lower left", frameon=False)
    axes[1, 0].set_ylim(-4.0, 4.0)
    axes[2, 0].set_ylim(-40.0, 40.0)
    figure.suptitle(
        "One of three joints, 50-row chunks at 50 Hz, 400 ms of inference", x=0.01, ha="left"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_latency(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """What latency costs, a line for each way."""
    figure, axes = plt.subplots(2, 2, figsize=(10.5, 6.0), sharex=True)
    for axis, (key, scale) in zip(axes.flat, PANELS, strict=True):
        for way, colour in COLOURS.items():
            points = [(row["latency [ms]"], row[key]) for row in rows if row["way"] == way]
            values = np.array(points, dtype=float)
            style = "--" if way.startswith("naive") else "-"
            axis.plot(*values.T, style, color=colour, lw=1.6, marker="o", ms=3.5, label=way)
        axis.axvspan(410, 830, color="0.95", zorder=0)
        axis.set_xlim(-20, 820)
        axis.set_yscale(scale)
        axis.set_title(key.replace("s3", "s\u00b3"), loc="left")
    axes[1, 0].axhline(LIMITS.jerk[0], color="0.6", lw=0.8, ls=":")
    axes[1, 0].text(815, LIMITS.jerk[0] * 1.2, "limit", color="0.4", ha="right")
    axes[1, 0].text(440, 1e4, "two answers do not\nfit into a chunk", color="0.4", va="center")
    for axis in axes[1]:
        axis.set_xlabel("inference [ms]")
    lines, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="upper left", ncols=len(COLOURS), frameon=False)
    figure.tight_layout(rect=(0.0, 0.0, 1.0, 0.95))
    figure.savefig(path, dpi=130)
    plt.close(figure)
