"""The plot of a run: commanded and measured joints, with every chunk seam and subtask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from vla_ros.data.run_bag import PlanRecord, Series
from vla_ros.data.run_video import Caption

LEAST_SPAN = 0.2  # rad; a joint that hardly moves shall look so
BEFORE_S = 1.0  # shown of the time before the first subtask
LEAST_BAND_S = 0.5  # a shorter subtask has no room for its name
MEASURED, COMMANDED, SEAM = "#1f77b4", "#d62728", "#9aa0a6"


def plot_run(
    path: Path,
    names: Sequence[str],
    commanded: Series,
    measured: Series,
    plans: Sequence[PlanRecord],
    captions: Sequence[Caption],
) -> None:
    """Write a PNG: one panel per joint, seams as thin lines, subtasks as bands.

    Args:
        path: where to.
        names: joints; the first len(names) columns of both series are theirs [rad].
        commanded: what the bridge sent.
        measured: what the joints did.
        plans: a seam is drawn at each `valid_from_ns`.
        captions: a band is drawn from each to the next.
    """
    t0 = int(min(commanded.t_ns[0], measured.t_ns[0]))
    end = float((max(commanded.t_ns[-1], measured.t_ns[-1]) - t0) * 1e-9)
    figure, panels = plt.subplots(
        len(names), 1, sharex=True, figsize=(13, 1.55 * len(names) + 1.0), layout="constrained"
    )
    marks = [(c.t_ns - t0) * 1e-9 for c in captions] + [end]
    for k, (name, panel) in enumerate(zip(names, np.atleast_1d(panels), strict=True)):
        for caption, left, right in zip(captions, marks[:-1], marks[1:], strict=True):
            if caption.subtask and not caption.outcome:
                panel.axvspan(left, right, color="#e8f0fe", lw=0)
                if k == 0 and right - left > LEAST_BAND_S:
                    panel.text(
                        left,
                        1.04,
                        caption.subtask,
                        transform=panel.get_xaxis_transform(),
                        fontsize=7,
                    )
        for plan in plans:
            panel.axvline((plan.valid_from_ns - t0) * 1e-9, color=SEAM, lw=0.4, zorder=1.5)
        panel.plot(
            (measured.t_ns - t0) * 1e-9,
            measured.values[:, k],
            color=MEASURED,
            lw=1.6,
            label="measured",
        )
        panel.plot(
            (commanded.t_ns - t0) * 1e-9,
            commanded.values[:, k],
            color=COMMANDED,
            lw=0.8,
            label="commanded",
        )
        low, high = panel.get_ylim()
        if high - low < LEAST_SPAN:
            panel.set_ylim((low + high - LEAST_SPAN) / 2, (low + high + LEAST_SPAN) / 2)
        panel.set_ylabel(f"{name}\n[rad]", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.margins(x=0)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    axes = np.atleast_1d(panels)
    axes[0].set_xlim(max(0.0, marks[0] - BEFORE_S), end)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside upper right",
        fontsize=7,
        ncols=2,
        frameon=False,
    )
    axes[-1].set_xlabel(
        "ROS time since the start of the recording [s]; grey lines: chunk seams", fontsize=8
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)
