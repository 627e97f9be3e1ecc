"""A camera that keeps sending the same picture while the robot moves is frozen.

Drivers and network bridges do this: stamps go on, pixels do not. Real sensors have noise, so two
identical pictures are suspicious; they are evidence once the joints have moved between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.sync.blend import Blend

FloatArray = npt.NDArray[np.float64]


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


@dataclass(frozen=True, slots=True)
class Place:
    """Where the robot is, as the vectors of an observation tell it.

    Attributes:
        parts: of each vector its values (S,), how they change, and how many of the first tell it.
    """

    parts: tuple[tuple[FloatArray, Blend, int | None], ...]

    def way(self, other: Place) -> float:
        """To another place: the change of the element that changed most [rad or m]."""
        pairs = zip(self.parts, other.parts, strict=True)
        return max(
            float(np.max(np.abs(blend.change(here, there)[:count]), initial=0.0))
            for (here, blend, count), (there, _, _) in pairs
        )


class FrozenDetector:
    """Compares each picture with the first of the identical ones before it.

    Args:
        motion: farthest way [rad or m] that identical pictures may span.
    """

    def __init__(self, motion: float) -> None:
        self._motion = motion
        self._first: Frame | None = None
        self._since_ns = 0
        self._place = Place(())
        self._frozen = False

    @property
    def since_ns(self) -> int:
        """Stamp of the first of the identical pictures."""
        return self._since_ns

    @property
    def frozen(self) -> bool:
        """The last verdict."""
        return self._frozen

    def check(self, frame: Frame, stamp_ns: int, place: Place) -> bool:
        """Is the camera frozen, seen from this picture and the place that goes with it?"""
        if self._first is None or not frame.same_pixels(self._first):
            self._first, self._since_ns, self._place = frame, stamp_ns, place
            self._frozen = False
        elif stamp_ns != self._since_ns:
            moved = self._place.way(place) > self._motion
            self._frozen = self._frozen or moved  # back at the old pose, it is as frozen
        return self._frozen

    def clear(self) -> None:
        """Forget the pictures seen."""
        self._first = None
        self._since_ns = 0
        self._frozen = False
