"""How well a camera's latency is found from the arm's own motion: error, interval, refusals.

    python -m benchmarks.latency [--quick] [--json out.json]

Recordings of a minute with a latency drawn from 0 to 150 ms, 10 % of the pictures lost, joint
states of 50, 125 or 500 Hz with encoder noise. Half of them are rendered pictures of the simulated
arm from both of its cameras, half are drawn (``latency_scenes``) with cameras of 15 to 60 Hz,
exposures, flicker, and joints that the camera does not see. Beside them, and without a say in how
many are refused: an arm that sways and never stops, and pictures of another motion than the
joints'. All recordings are the first seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.harness import arguments, at_least, at_most, finish
from benchmarks.latency_scenes import Film, drawn, moves
from vla_ros.sim.model import HOME
from vla_ros.sim.robot import SimRobot
from vla_ros.sim.truth import FINGER_OPEN
from vla_ros.spaces.images import small_grey
from vla_ros.sync.latency import LatencyError, estimate_latency

FloatArray = npt.NDArray[np.float64]
Row = dict[str, str | float | bool]

SECONDS = 60.0
CAMERAS = ("front", "wrist")
RANGE_S = 0.150


def main() -> int:
    """Run it."""
    options = arguments(__doc__ or "").parse_args()
    count = 1 if options.quick else 25
    good = [judged(film, seed) for seed, film in enumerate(good_films(count))]
    count = 1 if options.quick else 10
    sways = [judged(drawn(seed, SECONDS, "sway"), seed) for seed in range(count)]
    alien = [judged(film, seed) for seed, film in enumerate(alien_films(count))]
    given = [row for row in (*good, *sways) if "error [ms]" in row]
    wrong = sum("error [ms]" in row for row in alien)
    accepted = sum("error [ms]" in row for row in good)
    errors = [abs(float(row["error [ms]"])) for row in given]
    goals = [
        at_most("largest error of a latency that was given [ms]", 5.0, max(errors, default=99.0)),
        at_least(
            f"share of {len(given)} intervals that hold the truth",
            0.9,
            sum(bool(row["covered"]) for row in given) / max(len(given), 1),
        ),
        at_least(f"share of {len(good)} good recordings not refused", 0.9, accepted / len(good)),
        at_most(f"latencies given for {len(alien)} pairs of two different motions", 0, wrong),
    ]
    rows = [{"recording": "", "truth [ms]": 0.0, **row} for row in (*good, *sways, *alien)]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = [{key: row.get(key, "") for key in columns} for row in rows]
    return finish("camera latency from motion", table, goals, options.json)


def good_films(count: int) -> Iterator[Film]:
    """Motion as it is asked for: rendered, and drawn."""
    for seed in range(count):
        yield from rendered(seed)
    for seed in range(2 * count):
        yield drawn(seed, SECONDS, ("together", "one by one")[seed % 2])


def alien_films(count: int) -> Iterator[Film]:
    """The pictures of one film with the joints of another."""
    for seed in range(count):
        film = drawn(seed, SECONDS, "together")
        dice = np.random.default_rng(10_000 + seed)
        q = moves(dice, film.times, 6, 6)
        yield Film(
            kind=f"alien: {film.kind}",
            captured=film.captured,
            pictures=film.pictures,
            times=film.times,
            q=q,
        )


def judged(film: Film, seed: int) -> Row:
    """The estimate of one recording beside its truth, which is drawn here."""
    dice = np.random.default_rng(20_000 + seed)
    truth_ms = float(dice.uniform(0, RANGE_S)) * 1e3
    times = np.arange(0, SECONDS + 1, 1 / float(dice.choice([50, 125, 500])))
    positions = np.stack([np.interp(times, film.times, column) for column in film.q.T], axis=-1)
    row: Row = {"recording": film.kind, "truth [ms]": round(truth_ms, 1)}
    try:
        found = estimate_latency(
            ns(film.captured + truth_ms * 1e-3),
            film.pictures,
            ns(times),
            positions + dice.normal(0, 1e-4, positions.shape),
        )
    except LatencyError as error:
        return {**row, "refused": str(error)[:40]}
    return {
        **row,
        "error [ms]": round(found.latency_ns * 1e-6 - truth_ms, 2),
        "half interval [ms]": round((found.high_ns - found.low_ns) / 2e6, 1),
        "covered": bool(found.low_ns <= truth_ms * 1e6 <= found.high_ns),
        "explained": round(found.fit, 3),
        "clarity": round(found.clarity, 1),
    }


def motion(dice: np.random.Generator, t: FloatArray) -> FloatArray:
    """Moves of the simulated arm about home. Shape (N, 6)."""
    return np.asarray(HOME) + 0.8 * moves(dice, t, 6, 6)


def rendered(seed: int) -> Iterator[Film]:
    """The simulated arm in a scene of its own, seen by each of its cameras."""
    dice = np.random.default_rng(seed)
    times = np.arange(0, SECONDS + 1, 0.002)
    q = motion(dice, times)
    rate = float(dice.choice([15, 20, 30]))
    captured = np.arange(0.5, SECONDS, 1 / rate)
    captured = captured[dice.random(len(captured)) >= 0.1]
    for camera, pictures in film_of(seed, times, q, captured, CAMERAS).items():
        yield Film(
            kind=f"rendered, {camera}, {rate:.0f} Hz",
            captured=captured,
            pictures=pictures,
            times=times,
            q=q,
        )


def film_of(
    seed: int, times: FloatArray, q: FloatArray, captured: FloatArray, cameras: Sequence[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """Small pictures (K, 30, 40) of the arm as it moves by q (N, 6) at the instants times [s]."""
    robot = SimRobot(seed=seed, width=160, height=120)
    small: dict[str, list[npt.NDArray[np.float32]]] = {camera: [] for camera in cameras}
    for t in captured:
        robot.place_arm(np.array([np.interp(t, times, column) for column in q.T]), FINGER_OPEN)
        for camera, pictures in small.items():
            pictures.append(small_grey(robot.render(camera)))
    return {camera: np.array(pictures) for camera, pictures in small.items()}


def ns(seconds: FloatArray) -> npt.NDArray[np.int64]:
    """Stamps of instants."""
    return 10**18 + np.round(seconds * 1e9).astype(np.int64)


if __name__ == "__main__":
    sys.exit(main())
