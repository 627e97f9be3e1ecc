"""How much later than the capture a camera's pictures are stamped, seen from the robot's motion.

Pictures change when the joints move. The latency is the shift in time at which the distances that
the joints went explain the changes from picture to picture best (`ShiftFit`). The interval comes
from leaving out one twelfth of the recording at a time (the jackknife: Quenouille 1956, Tukey
1958), in long stretches, because the errors of neighbouring pictures belong together. No marker
and no model of camera or robot; any motion that starts, stops and turns will do. What excites too
little is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.sync.shift_fit import ShiftFit

FloatArray = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

_STEP_NS = 4_000_000
_MARGIN_NS = 40_000_000  # looked at beyond both ends, so that the best shift is no end
_WINDOW = 30  # changes
_MAX_WINDOW_NS = 2_500_000_000
_GROUPS = 12
_QUANTILE = 2.201  # of Student's t with _GROUPS - 1 degrees of freedom, for 95 %
_FLOOR_NS = 1_000_000.0  # no interval is narrower than this to either side
_MIN_WINDOWS = 12
_MIN_MOTION = 0.02  # rad or m of the joint that moves most
_MIN_FIT = 0.3  # share of the pictures' changes that the joints explain
_MAX_HALF_NS = 15_000_000


class LatencyError(VlaError):
    """The latency cannot be told from this recording."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """What was found.

    Attributes:
        latency_ns: stamp minus capture.
        low_ns: lower end of the 95 % interval.
        high_ns: upper end.
        fit: share of the variance of the pictures' changes that the joints explain, in [0, 1].
        pictures: how many changes were used.
    """

    latency_ns: int
    low_ns: int
    high_ns: int
    fit: float
    pictures: int


def picture_change(before: npt.NDArray[np.int16], after: npt.NDArray[np.int16]) -> float:
    """How much one `small_grey` picture differs from the next, in [0, 255]."""
    return float(np.mean(np.abs(after - before)))


def estimate_latency(
    picture_stamps_ns: Stamps,
    changes: FloatArray,
    joint_stamps_ns: Stamps,
    positions: FloatArray,
    *,
    max_latency_ns: int = 250_000_000,
) -> Latency:
    """Estimate a camera's latency.

    Args:
        picture_stamps_ns: stamps of the pictures, rising. Shape (N,).
        changes: ``picture_change`` from each picture to the next. Shape (N - 1,).
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
            "move the arm to and fro in front of the camera, with stops"
        )
    shifts = np.arange(-_MARGIN_NS, max_latency_ns + _MARGIN_NS + 1, _STEP_NS)
    starts, ends = picture_stamps_ns[:-1], picture_stamps_ns[1:]
    inside = (starts - shifts[-1] >= joint_stamps_ns[0]) & (ends - shifts[0] <= joint_stamps_ns[-1])
    count = int(inside.sum()) // _WINDOW
    starts, ends, windows = (
        values[inside][: count * _WINDOW].reshape(count, _WINDOW)
        for values in (starts, ends, changes)
    )
    whole = ends[:, -1] - starts[:, 0] <= _MAX_WINDOW_NS
    if whole.sum() < _MIN_WINDOWS:
        raise LatencyError(
            f"{whole.sum() * _WINDOW} pictures have joint states around them; expected at least "
            f"{_MIN_WINDOWS * _WINDOW}; record for longer (60 s), or mend the camera's rate"
        )
    fit = ShiftFit(starts[whole], ends[whole], windows[whole], joint_stamps_ns, positions)
    errors = np.array([fit.errors(int(shift)) for shift in shifts])
    best = int(np.argmin(errors.sum(axis=1)))
    explained = 1 - float(errors[best].sum() / fit.power.sum())
    if not explained >= _MIN_FIT:
        raise LatencyError(
            f"the joints explain {explained:.0%} of how the pictures change; expected "
            f"{_MIN_FIT:.0%} and more: let the robot fill more of the picture, and nothing else "
            "move"
        )
    if not 5 <= best < len(shifts) - 5:
        raise LatencyError(
            f"no latency between {shifts[5] * 1e-9:.3f} and {shifts[-6] * 1e-9:.3f} s fits; "
            "check that pictures and joint states are stamped by clocks that agree"
        )
    near = slice(best - 5, best + 6)
    latencies = _lowest(_all_and_without_each(errors[near], _GROUPS), shifts[near])
    spread = latencies[1:] - latencies[1:].mean()
    deviation = float(np.sqrt((_GROUPS - 1) / _GROUPS * np.sum(spread**2)))
    half_ns = max(_QUANTILE * deviation, _FLOOR_NS)
    if half_ns > _MAX_HALF_NS:
        raise LatencyError(
            f"the latency is known to {half_ns * 1e-6:.0f} ms only; expected "
            f"{_MAX_HALF_NS * 1e-6:.0f} ms: the motion is too little or too even; start, stop and "
            "turn often"
        )
    return Latency(
        latency_ns=round(latencies[0]),
        low_ns=round(latencies[0] - half_ns),
        high_ns=round(latencies[0] + half_ns),
        fit=explained,
        pictures=int(whole.sum()) * _WINDOW,
    )


def _all_and_without_each(values: FloatArray, groups: int) -> FloatArray:
    """Sums over the windows (L, W): of all, and without each group. Shape (L, 1 + groups)."""
    edges = np.linspace(0, values.shape[1], groups, endpoint=False).astype(int)
    total = values.sum(axis=1, keepdims=True)
    return np.hstack((total, total - np.add.reduceat(values, edges, axis=1)))


def _lowest(errors: FloatArray, shifts: Stamps) -> FloatArray:
    """Where each column of errors (L, R) is least, between the shifts [ns] by a parabola."""
    at = np.clip(np.argmin(errors, axis=0), 1, len(shifts) - 2)
    columns = np.arange(errors.shape[1])
    left, middle, right = (errors[at + k, columns] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    offset = np.divide(left - right, 2 * bend, out=np.zeros_like(bend), where=bend > 0)
    lowest: FloatArray = shifts[at] + np.clip(offset, -1, 1) * _STEP_NS
    return lowest
