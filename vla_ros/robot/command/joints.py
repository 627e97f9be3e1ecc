"""Joint positions by name, in SI units, from whatever order, names and unit a driver speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.robot.spec.outputs import JointLimits
from vla_ros.robot.spec.state import UNITS, JointSource, StateSpec

FloatArray = npt.NDArray[np.float64]

_SLACK = 0.5  # of a joint's range, and at least this many rad or m


class JointsError(VlaError):
    """A joint state that cannot be read.

    Attributes:
        what: what is wrong.
        expected: what should have been there.
        got: what was there.
        do: what a person can do about it.
        structural: it will not heal by itself.
    """

    def __init__(
        self, what: str, *, expected: str, got: str, do: str, structural: bool = True
    ) -> None:
        super().__init__(f"{what}; expected {expected}, got {got}; {do}")
        self.what, self.expected, self.got, self.do = what, expected, got, do
        self.structural = structural


class JointReader:
    """Reads one topic's joints.

    Args:
        source: what the robot file says of it.
        limits: of the joints that have some; a position far outside them is taken for another
            unit and refused.
    """

    def __init__(
        self, source: StateSpec | JointSource, limits: Mapping[str, JointLimits] | None = None
    ) -> None:
        self._source = source
        self.names = source.joints
        unit = UNITS[source.unit]
        rules = {name: (source.derived.get(name), name) for name in self.names}
        self._wanted = [
            rule.joint if rule is not None else name.removeprefix(source.prefix)
            for rule, name in rules.values()
        ]
        self._scale = np.array([unit if r is None else r.scale for r, _ in rules.values()])
        self._offset = np.array([0.0 if r is None else r.offset for r, _ in rules.values()])
        bounds = [_bounds((limits or {}).get(name)) for name in self.names]
        self._low, self._high = (np.array(side) for side in zip(*bounds, strict=True))
        self._order: tuple[list[str], npt.NDArray[np.intp]] | None = None

    def read(self, names: Sequence[str], positions: Sequence[float] | FloatArray) -> FloatArray:
        """The source's part of the state vector, shape (S,), from a sensor_msgs/JointState.

        Raises:
            JointsError: a joint is missing, ambiguous, no finite number, or far outside its
                limits.
        """
        if len(names) != len(positions):
            raise JointsError(
                "names and positions differ in number",
                expected=f"{len(names)} positions",
                got=str(len(positions)),
                do=f"mend what publishes {self._source.topic}",
            )
        raw = np.asarray(positions, dtype=np.float64)[self._columns(names)]
        return self._checked(raw * self._scale + self._offset)

    def rates(
        self, names: Sequence[str], velocities: Sequence[float] | FloatArray
    ) -> FloatArray | None:
        """How fast they change [per s], shape (S,), from a JointState that ``read`` took.

        NaN for joints without a velocity (their driver measures none); None where the message has
        no velocities.
        """
        if len(velocities) != len(names):
            return None
        raw = np.asarray(velocities, dtype=np.float64)[self._columns(names)]
        rates = np.where(np.isfinite(raw), raw, np.nan) * self._scale
        rates.setflags(write=False)
        return rates

    def _columns(self, names: Sequence[str]) -> npt.NDArray[np.intp]:
        if self._order is None or self._order[0] != names:
            listed = list(names)
            if any(listed.count(joint) != 1 for joint in self._wanted):
                raise self._missing(listed)
            self._order = (listed, np.array([listed.index(joint) for joint in self._wanted]))
        return self._order[1]

    def _checked(self, values: FloatArray) -> FloatArray:
        good = np.isfinite(values)
        if not good.all():
            broken = ", ".join(n for n, fine in zip(self.names, good, strict=True) if not fine)
            raise JointsError(
                f"the position of {broken} is no finite number",
                expected="finite radians or metres",
                got=str(values.tolist()),
                do=f"mend what publishes {self._source.topic}",
                structural=False,
            )
        outside = (values < self._low) | (values > self._high)
        if outside.any():
            k = int(np.argmax(outside))
            raise JointsError(
                f"{self.names[k]} is far outside its limits",
                expected=f"{self._low[k]:.3f} to {self._high[k]:.3f} rad or m, slack included",
                got=f"{values[k]:.3f}",
                do=f"check unit (now {self._source.unit}), derived and limits in the robot file, "
                "and the driver's calibration",
                structural=False,
            )
        values.setflags(write=False)
        return values

    def _missing(self, got: list[str]) -> JointsError:
        repeated = [joint for joint in self._wanted if got.count(joint) > 1]
        missing = [joint for joint in self._wanted if joint not in got]
        what = f"joints are missing: {', '.join(missing)}"
        if repeated:
            what = f"joints are named more than once: {', '.join(repeated)}"
        return JointsError(
            what,
            expected=", ".join(self._wanted),
            got=", ".join(got) or "no joints",
            do=f"publish them on {self._source.topic}, or mend the state's joints in the robot "
            "file",
        )


class JointsOfAllTopics:
    """Every joint of every topic by the robot file's names, in SI units: what control watches.

    Args:
        state: what the robot file says of its state.
    """

    def __init__(self, state: StateSpec) -> None:
        self._count = len(state.joint_sources)
        self._heard: dict[str, tuple[int, dict[str, float]]] = {}
        self._told_ns: int | None = None

    def forget(self) -> None:
        """Time jumped: what every topic said is of before."""
        self._heard.clear()
        self._told_ns = None

    def heard(
        self, source: StateSpec | JointSource, stamp_ns: int, positions: Mapping[str, float]
    ) -> tuple[int, dict[str, float]] | None:
        """Take in one topic's joints, named and in the unit as its driver does.

        Returns:
            The oldest stamp and all positions, or None while nothing is newly complete.
        """
        unit = UNITS[source.unit]
        values = {source.prefix + name: value * unit for name, value in positions.items()}
        for name, rule in source.derived.items():
            if rule.joint in positions:
                values[name] = rule.scale * positions[rule.joint] + rule.offset
        self._heard[source.topic] = (stamp_ns, values)
        if len(self._heard) < self._count:
            return None
        oldest_ns = min(stamp for stamp, _ in self._heard.values())
        if self._count > 1 and oldest_ns == self._told_ns:
            return None  # another topic spoke; the slowest has not
        self._told_ns = oldest_ns
        together: dict[str, float] = {}
        for _, part in self._heard.values():
            together.update(part)
        return oldest_ns, together


def _bounds(limits: JointLimits | None) -> tuple[float, float]:
    """What may be believed of a measured position."""
    if limits is None or limits.lower is None or limits.upper is None:
        return -np.inf, np.inf
    slack = max(_SLACK, _SLACK * (limits.upper - limits.lower))
    return limits.lower - slack, limits.upper + slack
