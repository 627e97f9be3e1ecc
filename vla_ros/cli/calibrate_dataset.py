"""`vla calibrate-latency --dataset`: how much older a dataset's pictures are than its states."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from vla_ros.cli.calibrate import say
from vla_ros.data.dataset_latency import dataset_latency
from vla_ros.data.lerobot_dataset import LeRobotDataset
from vla_ros.errors import VlaError


def calibrate_dataset(folder: Path, seconds: float) -> int:
    """Say how much older a dataset's pictures are than its states; 0 when known of each camera."""
    console = Console(soft_wrap=True, highlight=False)
    dataset, known = LeRobotDataset(folder), {}
    for camera in dataset.cameras:
        try:
            found = dataset_latency(dataset, camera, seconds)
        except VlaError as error:
            console.print(f"[red]✗[/] {camera}: {error}.")
            continue
        known[camera] = f"{found.latency_ns * 1e-9:.4f}"
        say(console, f"[green]✓[/] {camera}: pictures are {{}} older than their row's state", found)
    if known:
        latencies = ", ".join(f"{camera}: {value}" for camera, value in known.items())
        console.print(
            "    In the time contract of what is trained on it (the cameras by the robot file's "
            f"keys): image_latency_s: {{{latencies}}}"
        )
    return 0 if dataset.cameras and len(known) == len(dataset.cameras) else 1
