"""Golden cases of JointTrajectoryController's rules; expected values come from the rules, by hand.

Each case: messages sent at given times, and expected position (and velocity) at given times. The
measured joint stands at 0.5 with velocity 0.2 throughout, so whoever looks at it is found out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vla_ros.sim.controllers import Measured, TrajectoryMessage

MS = 1_000_000
NAMES = ("a", "b")
MEASURED = Measured(position=np.array([0.5, -0.5]), velocity=np.array([0.2, -0.2]))


def message(
    stamp_ms: int,
    times_ms: list[int],
    p: list[float],
    v: list[float] | None = None,
    a: list[float] | None = None,
    names: tuple[str, ...] = NAMES,
) -> TrajectoryMessage:
    """Joint b does the opposite of joint a."""

    def both(values: list[float]) -> np.ndarray:
        sign = {"a": 1.0, "b": -1.0}
        return np.array([[sign.get(n, 1.0) * x for n in names] for x in values]).reshape(
            -1, len(names)
        )

    return TrajectoryMessage(
        stamp_ns=stamp_ms * MS,
        joint_names=names,
        time_from_start_ns=np.array(times_ms, dtype=np.int64) * MS,
        positions=both(p),
        velocities=None if v is None else both(v),
        accelerations=None if a is None else both(a),
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    sent: list[tuple[int, TrajectoryMessage]]
    expected: dict[int, float]
    """Time [ms] -> position of joint a."""
    velocity: dict[int, float] = field(default_factory=dict)
    refused: int = 0


# Quintic from rest at 0 to rest at 1 in 1 s: 10 s^3 - 15 s^4 + 6 s^5. Cubic: 3 s^2 - 2 s^3.
CASES = [
    Case(name="without a message it holds", sent=[], expected={1000: 0.1, 5000: 0.1}),
    Case(
        name="stamp 0 starts at the first sample",
        sent=[(1000, message(0, [0, 1000], [0.0, 1.0]))],
        expected={1000: 0.0, 1250: 0.25, 2000: 1.0, 3000: 1.0},
        velocity={1250: 1.0, 3000: 0.0},
    ),
    Case(
        name="stamp 0 with a later first point begins at the measured state",
        sent=[(1000, message(0, [1000], [1.5]))],
        expected={1000: 0.5, 1500: 1.0, 2000: 1.5},
        velocity={1500: 1.0},
    ),
    Case(
        name="a stamp in the past joins in the middle and never looks at the measured state",
        sent=[(1000, message(500, [0, 1000], [0.0, 1.0]))],
        expected={1000: 0.5, 1250: 0.75, 1500: 1.0},
    ),
    Case(
        name="a stamp in the future with positions only goes on a line from the measured state",
        sent=[(1000, message(1400, [0, 1000], [0.9, 1.9]))],
        expected={1000: 0.5, 1200: 0.7, 1400: 0.9, 1900: 1.4, 2400: 1.9},
    ),
    Case(
        name="a stamp in the future with velocities goes on a cubic from the measured state",
        # p(t) = 0.5 + 0.2 t + c2 t^2 + c3 t^3 to 1.0 at rest in 1 s: c2 = 1.1, c3 = -0.8
        sent=[(1000, message(2000, [0, 1000], [1.0, 1.0], [0.0, 0.0]))],
        expected={1000: 0.5, 1500: 0.5 + 0.1 + 0.275 - 0.1, 2000: 1.0, 2500: 1.0},
        velocity={1000: 0.2, 1500: 0.2 + 1.1 - 0.6},
    ),
    Case(
        name="a stamp in the future with accelerations: a quintic that begins with acceleration 0",
        # From 0.5 at 0.2 to 1.0 at rest in 1 s; in the middle half way plus 5/32 of the velocity.
        sent=[(1000, message(2000, [0, 1000], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]))],
        expected={1000: 0.5, 1500: 0.75 + 0.2 * 5 / 32, 2000: 1.0},
        velocity={1000: 0.2},
    ),
    Case(
        name="positions only are joined by lines",
        sent=[(1000, message(1000, [0, 1000, 2000], [0.0, 1.0, 0.0]))],
        expected={1500: 0.5, 2000: 1.0, 2250: 0.75},
        velocity={1999: 1.0, 2001: -1.0},
    ),
    Case(
        name="with velocities they are joined by cubics",
        sent=[(1000, message(1000, [0, 1000], [0.0, 1.0], [0.0, 0.0]))],
        expected={1250: 3 / 16 - 2 / 64, 1500: 0.5, 1750: 27 / 16 - 54 / 64},
        velocity={1500: 1.5},
    ),
    Case(
        name="with accelerations they are joined by quintics",
        sent=[(1000, message(1000, [0, 1000], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]))],
        expected={1250: 10 / 64 - 15 / 256 + 6 / 1024, 1500: 0.5},
        velocity={1500: 1.875},
    ),
    Case(
        name="accelerations without velocities are refused",
        sent=[(1000, message(1000, [0, 1000], [0.0, 1.0], None, [0.0, 0.0]))],
        expected={1250: 0.1},
        refused=1,
    ),
    Case(
        name="an end in the past is refused and the old trajectory plays on",
        sent=[
            (1000, message(1000, [0, 2000], [0.0, 2.0])),
            (2000, message(1000, [0, 900], [5.0, 5.0])),
        ],
        expected={2000: 1.0, 2500: 1.5, 3000: 2.0},
        refused=1,
    ),
    Case(
        name="an end exactly now is not in the past: its last point is held",
        sent=[
            (1000, message(1000, [0, 2000], [0.0, 2.0])),
            (2000, message(1000, [0, 1000], [0.7, 0.8])),
        ],
        expected={2000: 0.8, 2500: 0.8},
    ),
    Case(
        name="a message in mid-segment replaces the old one at once, without splicing",
        sent=[
            (1000, message(1000, [0, 2000], [0.0, 2.0])),
            (1500, message(1400, [0, 1000], [0.4, 2.4])),
        ],
        expected={1499: 0.499, 1500: 0.6, 1900: 1.4, 2400: 2.4, 3000: 2.4},
    ),
    Case(
        name="a replacement on the same curve goes on seamlessly",
        sent=[
            (1000, message(1000, [0, 1000], [0.0, 1.0])),
            (1500, message(1480, [0, 20, 520], [0.48, 0.5, 1.0])),
        ],
        expected={1490: 0.49, 1500: 0.5, 1750: 0.75},
        velocity={1750: 1.0},
    ),
    Case(
        name="a replacement whose first point is in the future restarts at the measured state",
        sent=[
            (1000, message(1000, [0, 1000], [0.0, 1.0])),
            (1800, message(2000, [0, 1000], [1.0, 1.0])),
        ],
        expected={1799: 0.799, 1800: 0.5, 1900: 0.75, 2000: 1.0},
    ),
    Case(
        name="of two messages between samples the newer counts",
        sent=[
            (1000, message(1000, [0, 1000], [0.0, 1.0])),
            (1000, message(1000, [0, 1000], [3.0, 4.0])),
        ],
        expected={1500: 3.5},
    ),
    Case(
        name="a velocity at the end is refused",
        sent=[(1000, message(1000, [0, 1000], [0.0, 1.0], [0.0, 0.5]))],
        expected={1500: 0.1},
        refused=1,
    ),
    Case(
        name="a velocity at the end that is no float's zero is refused",
        sent=[(1000, message(1000, [0, 1000], [0.0, 1.0], [0.0, 1e-6]))],
        expected={1500: 0.1},
        refused=1,
    ),
    Case(
        name="a partial goal is refused",
        sent=[(1000, message(1000, [0, 1000], [0.0, 1.0], names=("a",)))],
        expected={1500: 0.1},
        refused=1,
    ),
    Case(
        name="an unknown joint is refused",
        sent=[(1000, message(1000, [0, 1000], [0.0, 1.0], names=("a", "x")))],
        expected={1500: 0.1},
        refused=1,
    ),
    Case(
        name="joints in another order are sorted",
        sent=[(1000, message(1000, [0, 1000], [0.0, 1.0], names=("b", "a")))],
        expected={1500: 0.5},
    ),
    Case(
        name="times that do not increase are refused",
        sent=[(1000, message(1000, [0, 500, 500], [0.0, 1.0, 2.0]))],
        expected={1500: 0.1},
        refused=1,
    ),
    Case(
        name="no points are refused and the old trajectory plays on",
        sent=[
            (1000, message(1000, [0, 1000], [0.0, 1.0])),
            (1200, message(0, [], [])),
        ],
        expected={1500: 0.5},
        refused=1,
    ),
    Case(
        name="not a number is refused",
        sent=[(1000, message(1000, [0, 1000], [0.0, float("nan")]))],
        expected={1500: 0.1},
        refused=1,
    ),
]
