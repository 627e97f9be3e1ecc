"""From what a policy says about a gripper to what the gripper is told.

Policies flicker around the threshold, change their mind within a tenth of a second, and step from
open to closed; grippers wear out, drop things, or refuse commands that come too often.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from vla_ros.robot.spec.outputs import GripperSpec


class GripperShaping:
    """Shapes the values of one gripper, 0 closed to 1 open. Time is an argument.

    Args:
        spec: From the robot file.
        kind: ``binary``: 0 or 1, with hysteresis. ``gripper``: anything between, at most so fast.
    """

    def __init__(self, spec: GripperSpec, kind: Literal["binary", "gripper"]) -> None:
        self._spec = spec
        self._kind = kind
        self._value: float | None = None
        self._at_ns = 0
        self._changed_ns: int | None = None

    @property
    def value(self) -> float | None:
        """What is told now; None before the first value."""
        return self._value

    def first(self, value: float) -> float:
        """What a value amounts to when nothing was told before."""
        if self._kind == "gripper":
            return round(float(np.clip(value, 0.0, 1.0)), 3)
        return 1.0 if value > 0.5 * (self._spec.close_below + self._spec.open_above) else 0.0

    def jump(self, value: float, now_ns: int) -> float:
        """Take a value as it is (a named pose): no rate, no holding."""
        self._value, self._at_ns, self._changed_ns = self.first(value), now_ns, now_ns
        return self._value

    def __call__(self, value: float, now_ns: int) -> float:
        """What to tell the gripper now that the policy says ``value``."""
        if self._value is None:
            return self.jump(value, now_ns)
        if now_ns < self._at_ns:  # time went back: nothing is held until it was
            self.jump(self._value, now_ns)
        wanted = self._wanted(value, self._value, now_ns)
        if wanted != self._value:
            held = self._changed_ns is not None and now_ns - self._changed_ns < self._spec.hold_ns
            if not (held and self._kind == "binary"):
                self._value, self._changed_ns = wanted, now_ns
        self._at_ns = now_ns
        return self._value

    def _wanted(self, value: float, now: float, now_ns: int) -> float:
        if self._kind == "binary":
            if now == 1.0:
                return 0.0 if value < self._spec.close_below else 1.0
            return 1.0 if value > self._spec.open_above else 0.0
        wanted = self.first(value)
        if self._spec.max_rate is not None:
            step = self._spec.max_rate * (now_ns - self._at_ns) * 1e-9
            return float(np.clip(wanted, now - step, now + step))
        return wanted
