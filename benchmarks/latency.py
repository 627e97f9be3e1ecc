"""How well a camera's latency is found from the arm's own motion: error, interval, refusals.

    python -m benchmarks.latency [--quick] [--json out.json]

Rendered pictures of the simulated arm, which moves between random poses for a minute and is
filmed by both cameras at 30 Hz; each recording is used with several latencies, 10 % of the
pictures lost and joint states with encoder noise. A latency only shifts stamps, so one rendering
serves all of them.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.harness import arguments, at_least, at_most, finish
from vla_ros.sim.model import HOME
from vla_ros.sim.robot import SimRobot
from vla_ros.sim.truth import FINGER_OPEN
from vla_ros.spaces.images import small_grey
from vla_ros.sync.latency import LatencyError, estimate_latency, picture_change

FloatArray = npt.NDArray[np.float64]

SECONDS = 60.0
CAMERAS = ("front", "wrist")
RANGE_S = 0.150


def motion(dice: np.random.Generator, t: FloatArray) -> FloatArray:
    """Minimum-jerk moves between random poses about home, some with a pause. Shape (N, 6)."""
    out = np.empty((len(t), 6))
    pose, now = np.zeros(6), float(t[0])
    while now <= t[-1]:
        goal, takes = dice.uniform(-0.4, 0.4, 6), dice.uniform(0.4, 1.5)
        pause = float(dice.choice([0.0, dice.uniform(0.0, 0.5)]))
        share = np.clip((t - now) / takes, 0, 1)
        smooth = 10 * share**3 - 15 * share**4 + 6 * share**5
        part = (t >= now) & (t <= now + takes + pause)
        out[part] = (pose + smooth[:, None] * (goal - pose))[part]
        pose, now = goal, now + takes + pause
    return np.asarray(HOME) + out


def main() -> int:
    """Run it."""
    options = arguments(__doc__ or "").parse_args()
    films, latencies = (1, 2) if options.quick else (10, 5)
    rows, errors, covered, refused = [], [], 0, 0
    for film in range(films):
        dice = np.random.default_rng(film)
        fine = np.arange(0, SECONDS + 1, 0.002)
        q = motion(dice, fine)
        captured = np.arange(0.5, SECONDS, 1 / 30)
        small = film_of(film, fine, q, captured, CAMERAS)
        for camera in CAMERAS:
            for _ in range(latencies):
                truth_s = float(dice.uniform(0, RANGE_S))
                kept = np.flatnonzero(dice.random(len(captured)) >= 0.1)
                pictures = small[camera]
                changes = np.array(
                    [picture_change(pictures[a], pictures[b]) for a, b in itertools.pairwise(kept)]
                )
                joints = np.arange(0, SECONDS + 1, 1 / float(dice.choice([50, 125, 500])))
                at = np.stack([np.interp(joints, fine, column) for column in q.T], axis=-1)
                try:
                    found = estimate_latency(
                        ns(captured[kept] + truth_s),
                        changes,
                        ns(joints),
                        at + dice.normal(0, 1e-4, at.shape),
                    )
                except LatencyError as error:
                    refused += 1
                    rows.append({"film": film, "camera": camera, "refused": str(error)[:60]})
                    continue
                error_ms = found.latency_ns * 1e-6 - truth_s * 1e3
                inside = found.low_ns <= truth_s * 1e9 <= found.high_ns
                errors.append(abs(error_ms))
                covered += inside
                rows.append(
                    {
                        "film": film,
                        "camera": camera,
                        "truth [ms]": round(truth_s * 1e3, 1),
                        "error [ms]": round(error_ms, 2),
                        "half interval [ms]": round((found.high_ns - found.low_ns) / 2e6, 1),
                        "covered": bool(inside),
                        "explained": round(found.fit, 3),
                    }
                )
    total = len(errors) + refused
    goals = [
        at_most("largest error of a latency that was given [ms]", 5.0, max(errors, default=99.0)),
        at_least("share of intervals that hold the truth", 0.9, covered / max(len(errors), 1)),
        at_least("share of recordings that were not refused", 0.8, len(errors) / total),
    ]
    return finish("camera latency from motion", rows, goals, options.json)


def film_of(
    seed: int, fine: FloatArray, q: FloatArray, captured: FloatArray, cameras: Sequence[str]
) -> dict[str, list[npt.NDArray[np.int16]]]:
    """Small pictures of the arm as it moves by q (N, 6) at the instants fine (N,) [s]."""
    robot = SimRobot(seed=seed, width=160, height=120)
    small: dict[str, list[npt.NDArray[np.int16]]] = {camera: [] for camera in cameras}
    for t in captured:
        robot.place_arm(np.array([np.interp(t, fine, column) for column in q.T]), FINGER_OPEN)
        for camera, pictures in small.items():
            pictures.append(small_grey(robot.render(camera)))
    return small


def ns(seconds: FloatArray) -> npt.NDArray[np.int64]:
    """Stamps of instants."""
    return 10**18 + np.round(seconds * 1e9).astype(np.int64)


if __name__ == "__main__":
    sys.exit(main())
