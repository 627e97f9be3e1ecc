"""``python -m vla_ros.train --data DIR --out DIR --minutes M --seed S``."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_ros.train.config import TrainConfig
from vla_ros.train.loop import train


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m vla_ros.train", description="Train nano.")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="demonstration sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--init", type=Path, help="checkpoint to start from")
    parser.add_argument("--minutes", type=float, help="time budget")
    parser.add_argument("--samples", type=int, help="observations to look at")
    default = TrainConfig(minutes=1.0)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--processes", type=int, default=default.processes)
    parser.add_argument("--batch", type=int, default=default.batch, help="per process")
    parser.add_argument("--draws", type=int, default=default.draws)
    parser.add_argument("--lr", type=float, default=default.lr)
    parser.add_argument("--num-steps", type=int, default=default.num_steps)
    parser.add_argument(
        "--rtc-max-delay", type=int, default=default.rtc_max_delay, help="rows given clean"
    )
    parser.add_argument("--precision", default=default.precision)
    parser.add_argument("--log-every-s", type=float, default=default.log_every_s)
    parser.add_argument("--save-every-s", type=float, default=default.save_every_s)
    values = vars(parser.parse_args())
    data, out, init = values.pop("data"), values.pop("out"), values.pop("init")
    train(TrainConfig(**values), data, out, init=init)


if __name__ == "__main__":
    main()
