"""Draws time_contract.svg: when an image, a state and the rows of a chunk belong together."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

INK, CAMERA, STATE, POLICY, ROWS, OLD = (
    "#24292f",
    "#0969da",
    "#1a7f37",
    "#8250df",
    "#cf222e",
    "#9aa0a6",
)
LANES = {
    "camera": 5,
    "joints": 4,
    "observation_sync": 3,
    "policy": 2,
    "plan": 1,
    "control_bridge": 0,
}
DT, CAPTURE, ARRIVAL, END = 50, 100, 130, 190  # ms


def main() -> None:
    """Draw it beside this file."""
    figure, axes = plt.subplots(figsize=(10.5, 4.3), layout="constrained")
    for name, y in LANES.items():
        axes.axhline(y, color="#d0d7de", lw=0.8, zorder=0)
        axes.text(48, y, name, ha="right", va="center", fontsize=9, color=INK)
    axes.axvline(CAPTURE, color=CAMERA, lw=0.8, ls=":", zorder=0)
    for t in (50, 100, 150, 200, 250, 300):
        axes.plot(t, LANES["camera"], "s", color=CAMERA, ms=8 if t == CAPTURE else 4)
    axes.annotate(
        "capture (header.stamp)\n= the instant observed",
        (CAPTURE, 5),
        (CAPTURE + 8, 5.25),
        fontsize=8,
        color=CAMERA,
    )
    axes.plot(range(55, 420, 10), [LANES["joints"]] * 37, "|", color=STATE, ms=6)
    axes.plot(CAPTURE, LANES["joints"], "o", color=STATE, ms=7)
    axes.text(CAPTURE + 32, 4.2, "state interpolated to the capture", fontsize=8, color=STATE)
    axes.annotate(
        "", (ARRIVAL, 3), (CAPTURE, 5), arrowprops={"arrowstyle": "->", "color": CAMERA, "lw": 0.9}
    )
    axes.plot(ARRIVAL, 3, "D", color=INK, ms=6)
    axes.text(ARRIVAL + 8, 3.15, "Observation, stamped with the capture", fontsize=8, color=INK)
    axes.barh(LANES["policy"], END - ARRIVAL, left=ARRIVAL, height=0.34, color=POLICY, alpha=0.85)
    axes.text(
        (END + ARRIVAL) / 2, 2, "inference", ha="center", va="center", fontsize=8, color="white"
    )
    axes.annotate(
        "", (END, 1.35), (END, 1.8), arrowprops={"arrowstyle": "->", "color": POLICY, "lw": 0.9}
    )
    for k in range(7):
        late = CAPTURE + k * DT < END
        axes.plot(CAPTURE + k * DT, 1, "o", color=OLD if late else ROWS, ms=6)
        axes.text(
            CAPTURE + k * DT,
            0.64,
            f"row {k}",
            ha="center",
            fontsize=7.5,
            color=OLD if late else ROWS,
        )
    axes.text(
        END + 6,
        1.3,
        "row k is due at start + k·dt,  start = capture + image_latency + action_offset",
        fontsize=8,
        color=INK,
        va="bottom",
    )
    axes.plot([60, END], [0, 0], color=OLD, lw=4, solid_capstyle="butt")
    axes.plot([END, 415], [0, 0], color=ROWS, lw=4, solid_capstyle="butt")
    axes.text(62, 0.14, "the plan before", fontsize=8, color=OLD)
    axes.text(
        END + 4, 0.14, "enters at the row that is due; the seam fades", fontsize=8, color=ROWS
    )
    axes.set_xlim(50, 425)
    axes.set_ylim(-0.5, 5.8)
    axes.set_yticks([])
    axes.set_xlabel("ROS time [ms]", fontsize=8)
    axes.tick_params(labelsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.savefig(Path(__file__).with_name("time_contract.svg"))


if __name__ == "__main__":
    main()
