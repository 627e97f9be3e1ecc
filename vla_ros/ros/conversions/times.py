"""builtin_interfaces Time and Duration <-> integer nanoseconds."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time
from std_msgs.msg import Header

_NS = 1_000_000_000


def time_msg(t_ns: int) -> Time:
    """Nanoseconds since the epoch -> Time."""
    return Time(sec=t_ns // _NS, nanosec=t_ns % _NS)


def duration_msg(t_ns: int) -> Duration:
    """Nanoseconds -> Duration; negative ones too."""
    return Duration(sec=t_ns // _NS, nanosec=t_ns % _NS)


def ns_from(stamp: Time | Duration) -> int:
    """Time or Duration -> nanoseconds."""
    return int(stamp.sec) * _NS + int(stamp.nanosec)


def header(t_ns: int, frame_id: str = "") -> Header:
    """A header with this stamp."""
    return Header(stamp=time_msg(t_ns), frame_id=frame_id)
