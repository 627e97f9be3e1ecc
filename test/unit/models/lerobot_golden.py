"""The configuration and statistics of actions beside a family's golden file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vla_ros.policy.checkpoints.lerobot_folder import LeRobotFolder

_PREFIX = "statistics."


def golden_folder(path: Path, golden: Mapping[str, Tensor]) -> LeRobotFolder:
    """As if it were a checkpoint's: all but its weights."""
    config = json.loads((path / "config.json").read_text())
    return LeRobotFolder(
        path=path,
        config=config,
        modes=config["normalization_mapping"],
        statistics={
            name.removeprefix(_PREFIX): values.numpy()
            for name, values in golden.items()
            if name.startswith(_PREFIX)
        },
        buffers=frozenset(),
    )
