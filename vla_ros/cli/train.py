"""`vla train`: demonstrations in, checkpoint out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

REFINE_LR = 1e-4
DEFAULT_MINUTES = 60.0


def train(
    data: list[Path],
    out: Path,
    minutes: float | None,
    samples: int | None,
    seed: int,
    init: Path | None,
) -> int:
    """Train nano, or go on with the run that lies in `out`; an hour when no budget is given."""
    from vla_ros.train.config import TrainConfig
    from vla_ros.train.loop import train as run

    if minutes is None and samples is None:
        minutes = DEFAULT_MINUTES
    config = TrainConfig(minutes=minutes, samples=samples, seed=seed)
    if init is not None:
        config = replace(config, lr=REFINE_LR)
    checkpoint = run(config, data, out, init=init)
    Console().print(
        f"{checkpoint}: try it with `vla eval --direct --policy {checkpoint}`", highlight=False
    )
    return 0
