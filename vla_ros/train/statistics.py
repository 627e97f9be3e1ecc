"""Normalisation statistics of a demonstration set."""

from __future__ import annotations

import numpy as np

from vla_ros.data.demos import DemoSet
from vla_ros.policy.checkpoints.nano import NanoStatistics, action_processor, as_float32
from vla_ros.policy.processors import MeanStd

STATE_FLOOR = 1e-3
"""Smallest state deviation that is taken at face value [rad or m]."""

ACTION_FLOOR = 0.02
"""Smallest deviation of a relative action. Row 0 is due at the capture itself and hardly differs
from the measured state: dividing by its true deviation would make the network learn noise."""


def measure(demos: DemoSet) -> NanoStatistics:
    """Mean and deviation of the state, and of relative actions per row and element."""
    info = demos.info
    state = demos.arrays["state"].astype(np.float64)
    shape = (info.horizon, len(info.action_names))
    identity = MeanStd(as_float32(np.zeros(shape)), as_float32(np.ones(shape)))
    steps = action_processor(info.state_names, info.action_names, info.action_kinds, identity)
    relative = steps.relative.apply(demos.arrays["actions"].astype(np.float64), state)
    mean, std = relative.mean(axis=0), np.maximum(relative.std(axis=0), ACTION_FLOOR)
    binary = list(steps.sign.index)
    mean[:, binary], std[:, binary] = 0.0, 1.0
    return NanoStatistics(
        state=MeanStd(
            as_float32(state.mean(axis=0)),
            as_float32(np.maximum(state.std(axis=0), STATE_FLOOR)),
        ),
        action=MeanStd(as_float32(mean), as_float32(std)),
    )
