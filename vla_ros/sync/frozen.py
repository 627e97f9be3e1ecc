"""A camera that keeps sending the same picture while the robot moves is frozen.

Drivers and network bridges do this: stamps go on, pixels do not. Real sensors have noise, so two
identical pictures are suspicious; they are evidence once the joints have moved between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a stream.

    Attributes:
        rgb: dataset-space image, uint8. Shape (H, W, 3).
        signature: sums over the raw pixels, so that a change too small to survive the resize
            still counts as one.
    """

    rgb: npt.NDArray[np.uint8]
    signature: tuple[float, ...] = ()

    def same_pixels(self, other: Frame) -> bool:
        """Are both pictures identical?"""
        return self.signature == other.signature and np.array_equal(self.rgb, other.rgb)


class FrozenDetector:
    """Compares each picture with the first of the identical ones before it.

    Args:
        motion: largest change of any state element [rad or m] that identical pictures may span.
    """

    def __init__(self, motion: float) -> None:
        self._motion = motion
        self._first: Frame | None = None
        self._since_ns = 0
        self._state: npt.NDArray[np.float64] | None = None
        self._frozen = False

    @property
    def since_ns(self) -> int:
        """Stamp of the first of the identical pictures."""
        return self._since_ns

    @property
    def frozen(self) -> bool:
        """The last verdict."""
        return self._frozen

    def check(self, frame: Frame, stamp_ns: int, state: npt.NDArray[np.float64]) -> bool:
        """Is the camera frozen, seen from this picture and the state (S,) that goes with it?"""
        if self._first is None or not frame.same_pixels(self._first):
            self._first, self._since_ns, self._state = frame, stamp_ns, state
            self._frozen = False
        elif stamp_ns != self._since_ns and self._state is not None:
            moved = bool(np.max(np.abs(state - self._state)) > self._motion)
            self._frozen = self._frozen or moved  # back at the old pose, it is as frozen
        return self._frozen

    def clear(self) -> None:
        """Forget the pictures seen."""
        self._first = None
        self._since_ns = 0
        self._state = None
        self._frozen = False
