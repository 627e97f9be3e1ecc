"""How much later than the capture a camera's pictures are stamped, seen from the robot's motion.

What a camera shows depends on where the joints are, so the latency is the shift in time at which
the pictures are likeliest as a smooth function of the joint positions (`ShiftFit`). The interval
comes from leaving out a part of the recording at a time (the jackknife: Quenouille 1956, Tukey
1958), in stretches of more than a second, because the errors of neighbouring pictures belong
together. No marker and no model of camera or robot; any motion that starts, stops and turns will
do. What excites too little is refused. The capture is the middle of the exposure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.sync.shift_fit import WINDOW, ShiftFit, Smoothness

FloatArray = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

MOTION = (
    "move every joint of the arm in view of the camera, one or several at a time, with moves of "
    "half a second to two seconds that often turn back and stop between; nothing else may move"
)
"""What to do in front of the camera, as an instruction."""

_COARSE_NS = 12_000_000
_FINE_NS = 4_000_000
_FINE_REACH = 6  # steps to either side
_MARGIN_NS = 48_000_000  # looked at beyond both ends, so that the best shift is no end
_EDGE = 3  # coarse steps; a best shift so near an end may be one that lies beyond
_APART_NS = 25_000_000  # pictures that follow faster tell hardly more
_GAP_NS = 250_000_000  # between joint states that are not joined by a line
_TUNING = 20  # stretches that the smoothness is tuned on, or up to twice as many
_ROUNDS = 2
_GROUPS = 18
_QUANTILE = 2.110  # of Student's t with _GROUPS - 1 degrees of freedom, for 95 %
_FLOOR_NS = 1_000_000.0  # no interval is narrower than this to either side
_MIN_STRETCHES = 12
_MIN_MOTION = 0.02  # rad or m of the joint that moves most
_MIN_FIT = 0.3  # share of left-out pictures that the joints foretell
_OTHER_NS = 60_000_000  # shifts so far from the best are other ones
_MIN_CLARITY = 3.5  # standard errors; recordings of two different motions reach 2.7
_MAX_HALF_NS = 6_000_000


class LatencyError(VlaError):
    """The latency cannot be told from this recording."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """What was found.

    Attributes:
        latency_ns: stamp minus capture.
        low_ns: lower end of the 95 % interval.
        high_ns: upper end.
        fit: share of the pictures' variance that the joints foretell, in [0, 1].
        clarity: how much better this shift fits than others, in standard errors over stretches.
        pictures: how many were used.
    """

    latency_ns: int
    low_ns: int
    high_ns: int
    fit: float
    clarity: float
    pictures: int


def estimate_latency(
    picture_stamps_ns: Stamps,
    pictures: npt.NDArray[np.float32],
    joint_stamps_ns: Stamps,
    positions: FloatArray,
    *,
    max_latency_ns: int = 250_000_000,
) -> Latency:
    """Estimate a camera's latency.

    Args:
        picture_stamps_ns: stamps of the pictures, rising. Shape (N,).
        pictures: ``spaces.images.small_grey`` of each. Shape (N, H, W).
        joint_stamps_ns: stamps of the joint states, rising. Shape (M,).
        positions: joint positions [rad or m]. Shape (M, S).
        max_latency_ns: the largest that is looked for.

    Raises:
        LatencyError: too little was recorded, the joints hardly moved, the pictures do not follow
            them, or the motion leaves the shift open.
    """
    moved = float(np.max(np.ptp(positions, axis=0), initial=0.0)) if len(positions) else 0.0
    if not moved >= _MIN_MOTION:
        raise LatencyError(
            f"no joint moved by more than {moved:.4f} rad or m; expected {_MIN_MOTION} and more: "
            f"{MOTION}"
        )
    shifts = np.arange(-_MARGIN_NS, max_latency_ns + _MARGIN_NS + 1, _COARSE_NS)
    used = _apart(picture_stamps_ns)
    at = picture_stamps_ns[used]
    used = used[_covered(at - shifts[-1], at - shifts[0], joint_stamps_ns)]
    if len(used) < _MIN_STRETCHES * WINDOW:
        raise LatencyError(
            f"{len(used)} pictures have joint states around them; expected at least "
            f"{_MIN_STRETCHES * WINDOW}: record for 60 s and more, or mend the camera's rate"
        )
    flat = pictures[used].reshape(len(used), -1)
    fit = ShiftFit(picture_stamps_ns[used], flat, joint_stamps_ns, positions)
    every = max(1, len(fit) // _TUNING)
    smooth = fit.start
    for _ in range(_ROUNDS):
        rough = _over(fit, shifts, smooth, every).sum(axis=1)
        smooth = fit.tuned(int(shifts[np.argmin(rough)]), smooth, every)
    coarse = _over(fit, shifts, smooth)
    best = int(np.argmin(coarse.sum(axis=1)))
    explained = fit.explained(int(shifts[best]), smooth)
    if not explained >= _MIN_FIT:
        raise LatencyError(
            f"the joints explain {max(explained, 0):.0%} of what the pictures show; expected "
            f"{_MIN_FIT:.0%} and more: let the robot fill more of the picture, and nothing else "
            "move"
        )
    gains = coarse[np.abs(shifts - shifts[best]) > _OTHER_NS].mean(axis=0) - coarse[best]
    clarity = float(gains.mean() / max(gains.std(ddof=1) / np.sqrt(len(gains)), 1e-9))
    searched = f"{shifts[_EDGE] * 1e-9:.3f} and {shifts[-1 - _EDGE] * 1e-9:.3f} s"
    if not clarity >= _MIN_CLARITY:
        raise LatencyError(
            f"no latency between {searched} fits the pictures clearly better than others (by "
            f"{clarity:.1f} standard errors; expected {_MIN_CLARITY}): {MOTION}. If it was so, "
            "check that the camera sees the robot, and that pictures and joint states are stamped "
            "by clocks that agree"
        )
    if not _EDGE <= best < len(shifts) - _EDGE:
        raise LatencyError(
            f"no latency between {searched} fits best: check that pictures and joint states are "
            "stamped by clocks that agree"
        )
    near = shifts[best] + _FINE_NS * np.arange(-_FINE_REACH, _FINE_REACH + 1)
    latencies = _lowest(_all_and_without_each(_over(fit, near, smooth), _GROUPS), near)
    groups = len(latencies) - 1
    spread = latencies[1:] - latencies[1:].mean()
    half_ns = max(_QUANTILE * float(np.sqrt((groups - 1) / groups * np.sum(spread**2))), _FLOOR_NS)
    if half_ns > _MAX_HALF_NS:
        raise LatencyError(
            f"the latency is about {latencies[0] * 1e-6:.0f} ms, but known to "
            f"{half_ns * 1e-6:.1f} ms only; expected {_MAX_HALF_NS * 1e-6:.0f} ms: record for "
            f"longer than a minute, and {MOTION}"
        )
    return Latency(
        latency_ns=round(latencies[0]),
        low_ns=round(latencies[0] - half_ns),
        high_ns=round(latencies[0] + half_ns),
        fit=explained,
        clarity=clarity,
        pictures=len(fit) * WINDOW,
    )


def _apart(stamps: Stamps) -> npt.NDArray[np.intp]:
    """Indices of pictures that are some time apart."""
    kept: list[int] = []
    for index, stamp in enumerate(stamps):
        if not kept or stamp - stamps[kept[-1]] >= _APART_NS:
            kept.append(index)
    return np.array(kept, dtype=np.intp)


def _covered(starts: Stamps, ends: Stamps, joint_stamps: Stamps) -> npt.NDArray[np.bool_]:
    """Which spans have joint states from before them until after them, without a gap."""
    gaps = np.concatenate(([0], np.cumsum(np.diff(joint_stamps) > _GAP_NS)))
    before = np.searchsorted(joint_stamps, starts, side="right") - 1
    after = np.searchsorted(joint_stamps, ends)
    inside = (before >= 0) & (after < len(joint_stamps))
    covered: npt.NDArray[np.bool_] = inside.copy()
    covered[inside] = gaps[before[inside]] == gaps[after[inside]]
    return covered


def _over(fit: ShiftFit, shifts: Stamps, smooth: Smoothness, every: int = 1) -> FloatArray:
    """How unlikely each stretch is at each shift. Shape (L, W)."""
    return np.array([fit.unlikelihood(int(shift), smooth, every) for shift in shifts])


def _all_and_without_each(values: FloatArray, groups: int) -> FloatArray:
    """Sums over the stretches (L, W): of all, and without each group. Shape (L, 1 + groups)."""
    groups = min(groups, values.shape[1])
    edges = np.linspace(0, values.shape[1], groups, endpoint=False).astype(int)
    total = values.sum(axis=1, keepdims=True)
    return np.hstack((total, total - np.add.reduceat(values, edges, axis=1)))


def _lowest(costs: FloatArray, shifts: Stamps) -> FloatArray:
    """Where each column of costs (L, R) is least, between the shifts [ns] by a parabola."""
    at = np.clip(np.argmin(costs, axis=0), 1, len(shifts) - 2)
    columns = np.arange(costs.shape[1])
    left, middle, right = (costs[at + k, columns] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    offset = np.divide(left - right, 2 * bend, out=np.zeros_like(bend), where=bend > 0)
    lowest: FloatArray = shifts[at] + np.clip(offset, -1, 1) * _FINE_NS
    return lowest
