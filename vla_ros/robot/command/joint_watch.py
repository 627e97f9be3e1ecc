"""Is the robot where it was sent, and is it still told where it is? Silence is on steady time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vla_ros.robot.command.watchdogs import Alarm
from vla_ros.spaces.turns import continued

FloatArray = npt.NDArray[np.float64]

SETTLE_SPAN_NS = 150_000_000
SETTLE_RANGE = 0.01
HISTORY_NS = 1_000_000_000


class JointWatch:
    """The measured joints: how old, how far from what was commanded, and whether they rest.

    Args:
        names: Joints to watch, in order.
        checked: Which of them are held against the commanded positions (a gripper closing on an
            object never arrives, so it is not). Shape (M,).
        max_age_ns: Longest silence, steady time, in [ns].
        max_error: Largest distance from the commanded position, in [rad] or [m].
        turning: Which joints turn without end; they are counted on across the seam at pi. Shape
            (M,).
    """

    def __init__(
        self,
        names: tuple[str, ...],
        checked: npt.NDArray[np.bool_],
        max_age_ns: int,
        max_error: float,
        turning: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self._turning = np.zeros(len(names), dtype=bool) if turning is None else turning
        self._names = names
        self._checked = checked
        self._max_age_ns = max_age_ns
        self._max_error = max_error
        self._measured: deque[tuple[int, FloatArray]] = deque()
        self._commanded: deque[tuple[int, FloatArray]] = deque()
        self._steady_ns: int | None = None
        self._refused = ""
        self._alarm: Alarm | None = None

    @property
    def position(self) -> FloatArray | None:
        """The latest measured position, if any. Shape (M,)."""
        return self._measured[-1][1] if self._measured else None

    @property
    def stamp_ns(self) -> int:
        """When it was measured, ROS time, in [ns]; 0 before the first."""
        return self._measured[-1][0] if self._measured else 0

    @property
    def names(self) -> tuple[str, ...]:
        """Joints being watched."""
        return self._names

    def push(self, stamp_ns: int, positions: Mapping[str, float], steady_ns: int) -> str | None:
        """Take a joint state.

        Returns:
            None, or why it was not taken (in words); it then counts as silence.
        """
        missing = [name for name in self._names if name not in positions]
        if missing:
            self._refused = (
                f"joint state lacks {', '.join(missing)}, got {', '.join(sorted(positions))}; "
                "check the driver's joint names against the robot file"
            )
            return self._refused
        values = np.array([positions[name] for name in self._names], dtype=np.float64)
        if not np.isfinite(values).all():
            bad = self._names[int(np.argmin(np.isfinite(values)))]
            self._refused = f"joint state of {bad} is {positions[bad]}, expected a finite number"
            return self._refused
        if self._measured and stamp_ns <= self._measured[-1][0]:
            self._refused = (
                f"joint state stamped {stamp_ns} ns came after {self._measured[-1][0]} ns; "
                "expected increasing stamps: is there a second publisher?"
            )
            return self._refused
        if self._measured:
            values = continued(values[None], self._turning, self._measured[-1][1])[0]
        self._refused = ""
        self._steady_ns = steady_ns
        self._measured.append((stamp_ns, values))
        while self._measured[0][0] < stamp_ns - HISTORY_NS:
            self._measured.popleft()
        self._compare(stamp_ns, values)
        return None

    def commanded(self, stamp_ns: int, position: FloatArray) -> None:
        """Note what was commanded for an instant. Shape (checked.sum(),)."""
        self._commanded.append((stamp_ns, position))
        while self._commanded[0][0] < stamp_ns - HISTORY_NS:
            self._commanded.popleft()

    def restart(self) -> None:
        """Forget what was commanded: a new motion starts from here."""
        self._commanded.clear()
        self._alarm = None

    def clear(self) -> None:
        """Forget every stamp; the next joint state starts anew."""
        self.restart()
        self._measured.clear()

    def settled(self) -> bool:
        """Whether the joints have been at rest over the last moments."""
        if not self._measured:
            return False
        last_ns = self._measured[-1][0]
        if last_ns - self._measured[0][0] < SETTLE_SPAN_NS:
            return False
        recent = [q for t, q in self._measured if t >= last_ns - SETTLE_SPAN_NS]
        return bool((np.ptp(np.array(recent), axis=0) < SETTLE_RANGE).all())

    def fresh(self, steady_ns: int) -> bool:
        """Whether the latest joint state is young enough."""
        return self._steady_ns is not None and steady_ns - self._steady_ns <= self._max_age_ns

    def silence(self, steady_ns: int) -> str:
        """What is missing where no joint state came for too long, else empty."""
        if self._steady_ns is None or self.fresh(steady_ns):
            return ""
        return (
            f"no joint state for {(steady_ns - self._steady_ns) / 1e9:.3f} s, expected one every "
            f"{self._max_age_ns / 1e9:.3f} s or sooner"
            f"{'; the last one was refused: ' + self._refused if self._refused else ''}; "
            "check the robot driver"
        )

    @property
    def astray(self) -> Alarm | None:
        """Why to stop, where the robot is not where it was sent."""
        return self._alarm

    def _compare(self, stamp_ns: int, measured: FloatArray) -> None:
        there = None
        for t_ns, position in reversed(self._commanded):
            if t_ns <= stamp_ns:
                there = position
                break
        if there is None:
            return
        error = np.abs(measured[self._checked] - there)
        self._alarm = None
        worst = int(np.argmax(error)) if len(error) else 0
        if len(error) and error[worst] > self._max_error:
            name = [n for n, c in zip(self._names, self._checked, strict=True) if c][worst]
            self._alarm = (
                "tracking_error",
                f"{name} is {error[worst]:.3f} away from where it was sent, expected at most "
                f"{self._max_error:.3f}; look for a collision, a protective stop or another "
                "commander, then resume",
            )
