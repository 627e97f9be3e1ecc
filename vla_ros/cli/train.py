"""`vla train`: demonstrations in, checkpoint out."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

REFINE_LR = 1e-4


def train(data: list[Path], out: Path, minutes: float, seed: int, init: Path | None) -> int:
    """Train nano, or go on with the run that lies in `out`."""
    from vla_ros.train.config import TrainConfig
    from vla_ros.train.loop import train as run

    lr = TrainConfig(minutes=minutes).lr if init is None else REFINE_LR
    config = TrainConfig(minutes=minutes, seed=seed, lr=lr)
    checkpoint = run(config, data, out, init=init)
    Console().print(
        f"{checkpoint}: try it with `vla eval --direct --policy {checkpoint}`", highlight=False
    )
    return 0
