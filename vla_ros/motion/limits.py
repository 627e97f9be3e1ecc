"""What a group of joints may do, and the error for what it may not.

Axis letters: N joints of the group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vla_ros.errors import VlaError

FloatArray = NDArray[np.float64]

ROOM_FOR_VELOCITY = 0.995
ROOM_FOR_ACCELERATION = 0.97
OVERSHOOT = 0.06
QUICKEST = 8.0


class MotionRefused(VlaError):
    """A request that is not carried out; the text says what, expected, got and what to do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MotionLimits:
    """Limits of a group of joints; SI units, symmetric in velocity, acceleration and jerk.

    Attributes:
        names: Joint names, in the order of every array of the group.
        lower: Smallest position, in [rad] or [m]; ``-inf`` for none. Shape (N,).
        upper: Largest position, in [rad] or [m]; ``inf`` for none. Shape (N,).
        velocity: Largest speed, in [rad/s] or [m/s]. Shape (N,).
        acceleration: Largest acceleration, in [rad/s^2] or [m/s^2]. Shape (N,).
        jerk: Largest jerk, in [rad/s^3] or [m/s^3]. Shape (N,).

    Raises:
        MotionRefused: A shape, sign or order that makes no sense.
    """

    names: tuple[str, ...]
    lower: FloatArray
    upper: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    jerk: FloatArray

    def __post_init__(self) -> None:
        for field in ("lower", "upper", "velocity", "acceleration", "jerk"):
            values = np.array(getattr(self, field), dtype=np.float64)
            if values.shape != (len(self.names),):
                raise MotionRefused(
                    f"Limit '{field}' has shape {values.shape}, expected ({len(self.names)},) "
                    f"for the joints {', '.join(self.names)}."
                )
            bounded = field in ("lower", "upper")
            if np.isnan(values).any() or not (
                bounded or (np.isfinite(values) & (values > 0)).all()
            ):
                raise MotionRefused(
                    f"Limit '{field}' must be {'a number' if bounded else 'finite and above 0'} "
                    f"for every joint, got {values.tolist()}. Set it in the robot file."
                )
            values.setflags(write=False)
            object.__setattr__(self, field, values)
        if not (self.lower < self.upper).all():
            raise MotionRefused(
                f"Every lower position limit must be below the upper one, got lower "
                f"{self.lower.tolist()} and upper {self.upper.tolist()}."
            )

    @property
    def turning(self) -> NDArray[np.bool_]:
        """Which joints turn without end: those without any position limit. Shape (N,)."""
        return np.isinf(self.lower) & np.isinf(self.upper)

    @property
    def size(self) -> int:
        """Number of joints N."""
        return len(self.names)

    def scaled(self, speed: float) -> MotionLimits:
        """The same joints with velocity, acceleration and jerk times ``speed`` (0 to 1]."""
        return replace(
            self,
            velocity=self.velocity * speed,
            acceleration=self.acceleration * speed,
            jerk=self.jerk * speed,
        )

    def with_room(self) -> MotionLimits:
        """Limits of samples, so that quintics between the samples of plans stay inside these."""
        return replace(
            self,
            velocity=self.velocity * ROOM_FOR_VELOCITY,
            acceleration=self.acceleration * ROOM_FOR_ACCELERATION,
        )

    def for_moves(self, period_s: float) -> MotionLimits:
        """Limits of moves whose jerk switches at any time, sampled every ``period_s``.

        Where it switches between two samples, the quintic through both overshoots the acceleration,
        the more (``OVERSHOOT``, found by trying) the more of it is built up in a period. More than
        ``QUICKEST`` times all of it in one is no limit that samples could show.
        """
        most = QUICKEST * self.acceleration / period_s
        built_up = np.minimum(self.jerk, most) * period_s / self.acceleration
        room = np.minimum(ROOM_FOR_ACCELERATION, 1.0 / (1.0 + OVERSHOOT * built_up))
        return replace(
            self,
            velocity=self.velocity * ROOM_FOR_VELOCITY,
            acceleration=self.acceleration * room,
            jerk=np.minimum(self.jerk, most),
        )


def checked_vector(what: str, values: Sequence[float] | FloatArray, size: int) -> FloatArray:
    """``values`` as a fresh float64 vector of ``size`` finite numbers.

    Raises:
        MotionRefused: Another shape, or a NaN or infinity.
    """
    vector = np.array(values, dtype=np.float64)
    if vector.shape != (size,):
        raise MotionRefused(f"{what} has shape {vector.shape}, expected ({size},).")
    if not np.isfinite(vector).all():
        raise MotionRefused(f"{what} must be finite, got {vector.tolist()}.")
    return vector
