"""Named state and action vectors, made of slices that know what their numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

SliceKind = Literal[
    "position",
    "velocity",
    "effort",
    "pose_pos",
    "pose_rot",
    "pose_step",
    "binary",
    "gripper",
]
"""What one slice holds: SI units, absolute. ``binary`` is 0 or 1 and never averaged;
``gripper`` is a continuous opening in [0, 1]; ``velocity`` is an integral (rad/s, m/s);
``pose_step`` is how far a pose goes (m, rad) from one row to the next."""

SLICE_KINDS: tuple[SliceKind, ...] = get_args(SliceKind)


class VectorSpaceError(VlaError):
    """A vector's description contradicts itself, or a name is not part of it."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Consecutive elements of a vector that share one kind."""

    name: str
    kind: SliceKind
    names: tuple[str, ...]
    start: int

    @property
    def stop(self) -> int:
        """Index one past the last element."""
        return self.start + len(self.names)

    @property
    def indices(self) -> slice:
        """The elements of this slice, to index the last axis of an array."""
        return slice(self.start, self.stop)


@dataclass(frozen=True, kw_only=True)
class VectorSpace:
    """An ordered set of slices: the meaning of every element of a state or action vector.

    Raises:
        VectorSpaceError: slices leave gaps or overlap, a slice is empty, or a name repeats.
    """

    slices: tuple[Slice, ...]

    def __post_init__(self) -> None:
        expected = 0
        for part in self.slices:
            if part.kind not in SLICE_KINDS:
                raise VectorSpaceError(
                    f"slice '{part.name}': kind '{part.kind}' is unknown; "
                    f"expected one of {', '.join(SLICE_KINDS)}"
                )
            if not part.names:
                raise VectorSpaceError(f"slice '{part.name}' has no elements; name at least one")
            if part.start != expected:
                raise VectorSpaceError(
                    f"slice '{part.name}' starts at {part.start}, expected {expected}: "
                    "slices must follow each other without gaps"
                )
            expected = part.stop
        for what, names in (
            ("slice", [part.name for part in self.slices]),
            ("element", [name for part in self.slices for name in part.names]),
        ):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise VectorSpaceError(
                    f"{what} names repeat: {', '.join(repeated)}; each name may occur once"
                )

    @classmethod
    def of(cls, *parts: tuple[str, SliceKind, Sequence[str]]) -> VectorSpace:
        """Lay out ``(name, kind, element names)`` one after the other."""
        slices, start = [], 0
        for name, kind, names in parts:
            slices.append(Slice(name=name, kind=kind, names=tuple(names), start=start))
            start += len(names)
        return cls(slices=tuple(slices))

    @cached_property
    def dim(self) -> int:
        """Number of elements."""
        return self.slices[-1].stop if self.slices else 0

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Element names in vector order."""
        return tuple(name for part in self.slices for name in part.names)

    @cached_property
    def kinds(self) -> tuple[SliceKind, ...]:
        """Kind of each element in vector order."""
        return tuple(part.kind for part in self.slices for _ in part.names)

    def mask(self, *kinds: SliceKind) -> npt.NDArray[np.bool_]:
        """True where the element has one of ``kinds``. Shape (A,)."""
        return np.array([kind in kinds for kind in self.kinds], dtype=bool)

    def index(self, name: str) -> int:
        """Position of the element called ``name``.

        Raises:
            VectorSpaceError: there is no such element.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise VectorSpaceError(
                f"element '{name}' is unknown; expected one of {', '.join(self.names)}"
            ) from None

    def slice(self, name: str) -> Slice:
        """The slice called ``name``.

        Raises:
            VectorSpaceError: there is no such slice.
        """
        for part in self.slices:
            if part.name == name:
                return part
        raise VectorSpaceError(
            f"slice '{name}' is unknown; "
            f"expected one of {', '.join(part.name for part in self.slices)}"
        )
