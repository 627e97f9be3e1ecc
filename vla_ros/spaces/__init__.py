"""Values that the rest of the package speaks in: named vectors, the time contract, images."""

from vla_ros.spaces.observation import Observation, StreamReport, StreamState
from vla_ros.spaces.time_contract import (
    STATE_ANCHOR,
    Interpolation,
    StateAt,
    TimeContract,
    TimeContractError,
)
from vla_ros.spaces.vectors import SLICE_KINDS, Slice, SliceKind, VectorSpace, VectorSpaceError

__all__ = [
    "SLICE_KINDS",
    "STATE_ANCHOR",
    "Interpolation",
    "Observation",
    "Slice",
    "SliceKind",
    "StateAt",
    "StreamReport",
    "StreamState",
    "TimeContract",
    "TimeContractError",
    "VectorSpace",
    "VectorSpaceError",
]
