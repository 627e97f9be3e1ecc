"""Where the robot is when time jumped: back, or forward by more than a process may pause.

Axis letters: N joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_ros.motion.limits import FloatArray
from vla_ros.motion.ruckig_moves import Mover
from vla_ros.motion.timeline import Timeline

MAX_GAP_NS = 250_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Jump:
    """What to go on from after a jump.

    Attributes:
        state: Position, velocity, acceleration of the robot. Shape (3, N).
        reason: What happened.
    """

    state: FloatArray
    reason: str


def jumped(
    line: Timeline,
    mover: Mover,
    last_ns: int,
    now_ns: int,
    brake_ns: int | None,
    streamed: NDArray[np.bool_],
) -> Jump | None:
    """What the robot does now, if time jumped and it is not where the timeline says.

    Args:
        line: What was commanded.
        mover: Ruckig for the group.
        last_ns: Time of the last call, in [ns].
        now_ns: In [ns].
        brake_ns: When the brake of the last window begins, in [ns]; None where there was none.
        streamed: Which joints are sent setpoints one by one, and no windows. Shape (N,).
    """
    if now_ns < last_ns:
        return Jump(state=_at(line, last_ns), reason="time went back")
    if now_ns - last_ns <= MAX_GAP_NS or line.time_ns(line.end) <= last_ns:
        return None
    # Where setpoints are streamed, the robot has not moved since the last one.
    state = _at(line, last_ns)
    if brake_ns is not None:
        if now_ns <= brake_ns and not streamed.any():
            return None
        state = np.where(streamed, state, _played(line, mover, now_ns, brake_ns))
    return Jump(state=state, reason="ticks were missed")


def _played(line: Timeline, mover: Mover, now_ns: int, brake_ns: int) -> FloatArray:
    """Where a robot is that follows the last window, and the brake at its end."""
    if now_ns <= brake_ns:
        return _at(line, now_ns)
    brake = mover.stop(_at(line, brake_ns))
    braked_s = (now_ns - brake_ns) * 1e-9
    state = brake.sample(np.array([braked_s]))[:, 0]
    state[1:] *= braked_s < brake.duration_s
    return state


def _at(line: Timeline, t_ns: int) -> FloatArray:
    return line.states(np.array([t_ns]))[:, 0]
