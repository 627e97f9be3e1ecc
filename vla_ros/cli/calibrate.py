"""`vla calibrate-latency`: how much later than its capture a picture is stamped."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from vla_ros.cli.latency_sources import listen, read_bag
from vla_ros.errors import VlaError
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.senses.calibrate import LatencyRecording, write_latency
from vla_ros.robot.spec.streams import CameraSpec
from vla_ros.sync.latency import MOTION, Latency


def calibrate(robot: str, bag: Path | None, seconds: float, write: bool) -> int:
    """Record or read, print what was found; 0 when every camera's latency is known."""
    console = Console(soft_wrap=True, highlight=False)
    spec, path = load_robot(robot), robot_path(robot)
    recording = LatencyRecording(spec)
    if bag is None:
        console.print(f"For {seconds:g} s from now, {MOTION}.")
        listen(spec, recording, seconds, console)
    else:
        read_bag(spec, recording, bag)
    console.print(f"Recorded: {recording.summary()}.")
    known = True
    for camera in spec.cameras:
        try:
            found = recording.estimate(camera.key)
        except VlaError as error:
            console.print(f"[red]✗[/] {camera.key}: {error}.")
            known = False
            continue
        known &= _report(console, camera, found, path if write else None)
    return 0 if known else 1


def _report(console: Console, camera: CameraSpec, found: Latency, path: Path | None) -> bool:
    """Say what was found, and write it where there is a path; False when it cannot be true."""
    here = "are stamped" if camera.clock == "header" else "arrive"
    mark = "[green]✓[/]" if found.high_ns >= 0 else "[red]✗[/]"
    say(console, f"{mark} {camera.key}: pictures {here} {{}} after their capture", found)
    if found.high_ns < 0:
        console.print(
            "    Nothing is stamped before it is captured: the clocks of camera and joints differ"
        )
        return False
    middle = found.latency_ns * 1e-6
    told = f"    The robot file says {camera.latency_s * 1e3:.1f} ms"
    if path is not None:
        write_latency(path, camera.key, max(found.latency_ns, 0) * 1e-9)
        console.print(f"{told}; now {max(middle, 0):.1f} ms is written to {path}")
    elif found.low_ns <= camera.latency_s * 1e9 <= found.high_ns:
        console.print(f"{told}, which agrees")
    else:
        console.print(f"{told}, which is wrong: --write puts {max(middle, 0):.1f} ms there")
    return True


def say(console: Console, sentence: str, found: Latency) -> None:
    """Print a sentence with the latency in the place of its braces, and how sure it is."""
    low, middle, high = (ns * 1e-6 for ns in (found.low_ns, found.latency_ns, found.high_ns))
    said = sentence.format(f"{middle:.1f} ms")
    console.print(f"{said} (with 95 % between {low:.1f} and {high:.1f} ms)")
    console.print(
        f"    One clear peak: it fits {found.clarity:.0f} standard errors better than others; "
        f"{found.pictures} pictures, {found.fit:.0%} of what they show follows from the joints"
    )
