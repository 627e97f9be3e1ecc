"""Where the robot may be, as the robot file says: a box, a table, and what to keep out of."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from vla_ros.robot.spec.base import Finite, Name, NonNegative, Positive, Strict

Point3 = tuple[Finite, Finite, Finite]


class BoxSpec(Strict):
    """An upright box in the base frame, in [m]."""

    lower: Point3
    upper: Point3

    @model_validator(mode="after")
    def _ordered(self) -> BoxSpec:
        if not all(low < high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError(
                f"box lower {list(self.lower)} must be below upper {list(self.upper)} on each axis"
            )
        return self


class SphereSpec(Strict):
    """A ball in the base frame, in [m]."""

    centre: Point3
    radius: Positive


class WatchedPoint(Strict):
    """A ball fixed to a link: ``offset`` in the link's frame, in [m]."""

    name: Name
    link: Name
    offset: Point3 = (0.0, 0.0, 0.0)
    radius: NonNegative = 0.0


class WorkspaceSpec(Strict):
    """Bounds in the base frame for points of the robot.

    ``box``: stay inside. ``table_z``: stay above. ``keep_out``: stay outside of each.
    """

    points: Annotated[tuple[WatchedPoint, ...], Field(min_length=1)]
    box: BoxSpec | None = None
    table_z: Finite | None = None
    keep_out: tuple[BoxSpec | SphereSpec, ...] = ()

    @model_validator(mode="after")
    def _bounds_something(self) -> WorkspaceSpec:
        if self.box is None and self.table_z is None and not self.keep_out:
            raise ValueError("workspace bounds nothing; give box, table_z or keep_out")
        names = [point.name for point in self.points]
        if len(set(names)) < len(names):
            raise ValueError(f"workspace points repeat a name: {', '.join(names)}")
        return self
