"""Makes demo.gif from a run: `python docs/images/make_demo_gif.py out/demo/<stamp>`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from vla_ros.cli.demo import CAMERAS
from vla_ros.data.run_bag import RunBag
from vla_ros.data.run_video import Caption, run_frames, write_gif

EVERY = 4  # of the 20 frames a second
SPEED = 2.0
WIDTH = 720


def main() -> None:
    """Draw the frames of the run and keep every fourth."""
    run = Path(sys.argv[1])
    captions = [
        Caption(**line) for line in json.loads((run / "summary.json").read_text())["captions"]
    ]
    frames = [frame for _, frame in run_frames(RunBag(run / "bag"), CAMERAS, captions)][::EVERY]
    write_gif(
        Path(__file__).with_name("demo.gif"), frames, fps=round(20 / EVERY * SPEED), width=WIDTH
    )


if __name__ == "__main__":
    main()
