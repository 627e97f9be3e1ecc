"""The speed slider: motion time goes slower than ROS time where the robot does.

Some robots execute slower than they are told: their speed slider, or a protective stop, slows the
time of ros2_control's JointTrajectoryController (``speed_scaling``). The controller counts that
time from the arrival of each message, so a client that goes on at full speed makes it jump at every
message. Here plans are executed in motion time, which passes as the controller's does, and what is
sent is labelled with the time at which a controller at full speed would play it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

HISTORY_NS = 5_000_000_000


@dataclass(frozen=True, kw_only=True)
class _Slide:
    ros_ns: int
    motion_ns: int
    factor: float

    def at(self, ros_ns: int) -> int:
        return self.motion_ns + round(self.factor * (ros_ns - self.ros_ns))


class Slider:
    """Motion time as a function of ROS time: one, until the slider is moved for the first time.

    Args:
        latency_ns: How early commands are sent, in [ns].
    """

    def __init__(self, latency_ns: int = 0) -> None:
        self._latency_ns = latency_ns
        self._slides: deque[_Slide] = deque()

    @property
    def factor(self) -> float:
        """Speed of motion time against ROS time now; 1 is as told, 0 stands still."""
        return self._slides[-1].factor if self._slides else 1.0

    def slid(self, factor: float, now_ns: int) -> None:
        """From ``now_ns`` on motion time passes ``factor`` times as fast."""
        if factor == self.factor:
            return
        motion_ns = self.at(now_ns)
        if not self._slides:
            self._slides.append(_Slide(ros_ns=now_ns, motion_ns=now_ns, factor=1.0))
        self._slides.append(_Slide(ros_ns=now_ns, motion_ns=motion_ns, factor=factor))
        while len(self._slides) > 2 and self._slides[1].ros_ns < now_ns - HISTORY_NS:
            self._slides.popleft()

    def restart(self, now_ns: int) -> None:
        """Nothing is executed any more: motion time is ROS time again, from ``now_ns`` on."""
        factor = self.factor
        self._slides.clear()
        self.slid(factor, now_ns)

    def at(self, ros_ns: int) -> int:
        """Motion time at an instant, in [ns]; in the future as if the slider stayed."""
        for slide in reversed(self._slides):
            if slide.ros_ns <= ros_ns:
                return slide.at(ros_ns)
        return self._slides[0].at(ros_ns) if self._slides else ros_ns

    def ahead(self, now_ns: int) -> int:
        """Motion time of what is to be sent now, in [ns]."""
        return self.at(now_ns) + self._latency_ns

    def behind_ns(self, now_ns: int) -> int:
        """How far motion time is behind, in [ns]; to be added to what is sent now."""
        return now_ns - self.at(now_ns)
