"""Two cameras and joints in simulated time, and what a fault does to one of their messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from drivers import FRAME_NS, JOINTS, SIZE
from sensor_msgs.msg import Image, JointState

from vla_ros.ros import qos
from vla_ros.ros.conversions.image import image_msg
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.ros.conversions.times import time_msg

TICK_NS = 25_000_000
TOPICS: dict[str, tuple[str, type[Any], qos.Role]] = {
    "front": ("/camera/front/image_raw", Image, "image"),
    "wrist": ("/camera/wrist/image_raw", Image, "image"),
    "state": ("/joint_states", JointState, "joint_state"),
}


@dataclass
class Turn:
    """One message that is due, for a fault to spoil.

    Attributes:
        t_ns: When it was taken; its stamp.
        since_ns: When the fault began.
        message: None: nothing is sent.
        late_ns: How much later than that it is sent.
    """

    t_ns: int
    since_ns: int
    message: Any
    late_ns: int = 0

    def stamp(self, stamp_ns: int) -> None:
        """Lies about when it was taken."""
        self.message.header.stamp = time_msg(stamp_ns)

    def repaint(self, rgb: Any, **fields: Any) -> None:
        """Another picture in its place."""
        self.message = image_msg(rgb, self.t_ns, "")
        for name, value in fields.items():
            setattr(self.message, name, value)


Fault = Callable[[Turn], None]


@dataclass
class Script:
    """Drivers that are in order, but for the faults of the moment.

    Attributes:
        faults: Stream -> what spoils each of its messages.
        since_ns: When that began.
    """

    faults: dict[str, Fault] = field(default_factory=dict)
    since_ns: int = 0
    _dice: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    _late: list[tuple[int, str, Any]] = field(default_factory=list)

    def at(self, t_ns: int) -> Iterator[tuple[str, Any]]:
        """Topic and message of everything that is sent at an instant."""
        turns = {"state": Turn(t_ns, self.since_ns, joint_state_msg(t_ns, positions(t_ns)))}
        if t_ns % FRAME_NS == 0:
            for key in ("front", "wrist"):
                rgb = self._dice.integers(0, 255, SIZE, dtype=np.uint8)
                turns[key] = Turn(t_ns, self.since_ns, image_msg(rgb, t_ns, key))
        for stream, turn in turns.items():
            self.faults.get(stream, lambda _: None)(turn)
            if turn.message is not None:
                self._late.append((t_ns + turn.late_ns, stream, turn.message))
        due = [item for item in self._late if item[0] <= t_ns]
        self._late = [item for item in self._late if item[0] > t_ns]
        for _, stream, message in due:
            yield TOPICS[stream][0], message


def positions(t_ns: int) -> dict[str, float]:
    """An arm whose first joint is never at rest for long."""
    return {
        **dict.fromkeys(JOINTS, 0.1),
        "joint1": 0.5 * float(np.sin(4e-9 * t_ns)),
        "finger_joint": 0.02,
    }
