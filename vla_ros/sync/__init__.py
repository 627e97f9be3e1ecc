"""Streams matched to one instant, or refused in words. Pure: no clock, no ROS."""

from vla_ros.sync.blend import Blend
from vla_ros.sync.frozen import Frame, FrozenDetector
from vla_ros.sync.history import History, PushResult
from vla_ros.sync.matching import STRATEGIES, Match, Strategy, before, interpolate, nearest
from vla_ros.sync.refusal import Consequence, Refusal
from vla_ros.sync.stream import ClockSource, OnLoss, StreamConfig
from vla_ros.sync.synchroniser import SyncError, Synchroniser

__all__ = [
    "STRATEGIES",
    "Blend",
    "ClockSource",
    "Consequence",
    "Frame",
    "FrozenDetector",
    "History",
    "Match",
    "OnLoss",
    "PushResult",
    "Refusal",
    "Strategy",
    "StreamConfig",
    "SyncError",
    "Synchroniser",
    "before",
    "interpolate",
    "nearest",
]
