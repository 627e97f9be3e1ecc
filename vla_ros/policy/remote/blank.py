"""A request with nothing in it, to warm up a server."""

from __future__ import annotations

import numpy as np

from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.spaces.observation import Observation


def blank_request(spec: PolicySpec, prompt: str = "warm up") -> PolicyRequest:
    """Black images and a state of zeros."""
    black = np.zeros((*spec.image_size, 3), dtype=np.uint8)
    observation = Observation(
        seq=0,
        t_obs_ns=0,
        start_ns=0,
        images=dict.fromkeys(spec.camera_keys, black),
        image_stamps_ns=dict.fromkeys(spec.camera_keys, 0),
        state=np.zeros(len(spec.state_names)),
        state_stamp_ns=0,
        streams=(),
    )
    return PolicyRequest(observation=observation, prompt=prompt)
