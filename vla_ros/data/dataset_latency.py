"""How much older a dataset's pictures are than the states of their rows."""

from __future__ import annotations

import numpy as np

from vla_ros.data.lerobot_dataset import DatasetError, LeRobotDataset
from vla_ros.spaces.images import small_grey
from vla_ros.sync.latency import Latency, estimate_latency

_BETWEEN_S = 10.0  # episodes are laid out in time with such gaps, which nothing is read across


def dataset_latency(dataset: LeRobotDataset, camera: str, seconds: float) -> Latency:
    """A camera's latency, from the first episodes with so many seconds in all.

    Raises:
        DatasetError: the dataset has no rows, or a video cannot be read.
        LatencyError: it does not tell the latency.
    """
    times, states, stamps, pictures = [], [], [], []
    begin_s, left_s = 0.0, seconds
    for episode in dataset.episodes():
        if left_s <= 0:
            break
        times.append(begin_s + episode.times_s)
        states.append(episode.state)
        for t_s, rgb in dataset.pictures(camera, episode.index):
            stamps.append(begin_s + t_s)
            pictures.append(small_grey(rgb))
        left_s -= float(episode.times_s[-1])
        begin_s += float(episode.times_s[-1]) + _BETWEEN_S
    if not pictures:
        raise DatasetError(f"the dataset has no pictures of '{camera}'")
    return estimate_latency(
        _ns(np.array(stamps)), np.array(pictures), _ns(np.concatenate(times)), np.vstack(states)
    )


def _ns(seconds: np.ndarray) -> np.ndarray:
    return np.round(seconds * 1e9).astype(np.int64)
