"""`vla launch`: run a ROS 2 YAML launch file where the `ros2 launch` command is not installed."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from vla_ros.cli.processes import Command, ProcessGraph
from vla_ros.ros.launch_plan import LaunchFileError, LaunchPlan, NodeSpec
from vla_ros.ros.launch_yaml import load_launch

_SHOW_ARGUMENTS = ("-s", "--show-args")
_COLOURS = ("36", "33", "35", "32", "34", "96", "93", "95", "92", "94")


def find_share(package: str) -> Path:
    """Share folder of an installed package; raises LookupError (ament's own) when there is none."""
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory(package))


def find_executable(node: NodeSpec) -> Path:
    """`lib/<package>/<executable>`, as `ros2 run` finds it."""
    from ament_index_python.packages import get_package_prefix

    try:
        folder = Path(get_package_prefix(node.package)) / "lib" / node.package
    except LookupError as error:
        raise LaunchFileError(
            f"node {node.label}: package `{node.package}` not found; "
            "source install/setup.bash first."
        ) from error
    path = folder / node.executable
    if not path.is_file():
        names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        raise LaunchFileError(
            f"node {node.label}: no executable `{node.executable}` in {folder}; "
            f"there: {', '.join(names)}."
        )
    return path


def resolve_file(file: str) -> Path:
    """A path as given, or a name in our own share/vla_ros/launch."""
    path = Path(file)
    if path.is_file():
        return path
    try:
        folder = find_share("vla_ros") / "launch"
    except LookupError as error:
        raise LaunchFileError(
            f"{file}: no such file, and package `vla_ros` is not found; "
            "source install/setup.bash first."
        ) from error
    if (folder / file).is_file():
        return folder / file
    names = sorted(p.name for p in folder.glob("*.launch.yaml"))
    raise LaunchFileError(f"{file}: no such file, and not one of {', '.join(names)} in {folder}.")


def parse_arguments(words: Sequence[str]) -> dict[str, str]:
    """`name:=value` words to a mapping."""
    arguments: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition(":=")
        if not sign or not name:
            raise LaunchFileError(f"argument {word!r}: expected name:=value.")
        arguments[name] = value
    return arguments


def load_plan(
    file: str, arguments: Mapping[str, str], *, placeholder: str | None = None
) -> LaunchPlan:
    """The launch file's nodes, with packages from the ament index; see `load_launch`."""
    return load_launch(
        resolve_file(file),
        arguments,
        find_share=find_share,
        environ=os.environ,
        placeholder=placeholder,
    )


def commands(plan: LaunchPlan) -> list[Command]:
    """What to execute for each node; labels made unique by a number where a name appears twice."""
    found: list[Command] = []
    labels = [node.label for node in plan.nodes]
    seen: dict[str, itertools.count[int]] = {}
    for node in plan.nodes:
        label = node.label
        if labels.count(label) > 1:
            label = f"{label}-{next(seen.setdefault(label, itertools.count(1)))}"
        found.append(
            Command(
                label=label,
                argv=(str(find_executable(node)), *node.ros_arguments()),
                environment={"PYTHONUNBUFFERED": "1", **node.environment},
                required=node.required,
            )
        )
    return found


def prefixed_printer(labels: Sequence[str], *, colour: bool) -> Callable[[str, str], None]:
    """Prints `[node] line`, each node in its own colour, aligned."""
    width = max(map(len, [*labels, "launch"]))
    colours = dict(zip(labels, itertools.cycle(_COLOURS)))

    def show(label: str, line: str) -> None:
        prefix = f"[{label}]".ljust(width + 2)
        if colour:
            prefix = f"\033[{colours.get(label, '1')}m{prefix}\033[0m"
        sys.stdout.write(f"{prefix} {line}\n")
        sys.stdout.flush()

    return show


def describe(plan: LaunchPlan) -> str:
    """The arguments of a launch file, one a line."""
    lines = []
    for argument in plan.arguments:
        default = "required" if argument.default is None else f"default {argument.default!r}"
        choices = f", one of {', '.join(argument.choices)}" if argument.choices else ""
        lines.append(f"  {argument.name}  ({default}{choices})\n      {argument.description}")
    return "\n".join(lines)


def launch_file(file: str, words: Sequence[str]) -> int:
    """Run a launch file until it ends, Ctrl-C or a required node ends it.

    Args:
        file: Path, or a name in share/vla_ros/launch.
        words: ``name:=value`` for the file's arguments; ``--show-args`` (or ``-s``) prints them
            instead.

    Returns:
        Exit status: 0 when every node ended well.
    """
    arguments = parse_arguments([w for w in words if w not in _SHOW_ARGUMENTS])
    if any(word in _SHOW_ARGUMENTS for word in words):
        plan = load_plan(file, arguments, placeholder="")
        sys.stdout.write(f"{describe(plan)}\n")
        return 0
    plan = load_plan(file, arguments)
    to_run = commands(plan)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    graph = ProcessGraph(to_run, prefixed_printer([c.label for c in to_run], colour=colour))

    def on_signal(number: int, frame: FrameType | None) -> None:
        graph.request_stop()

    before = {
        n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        with graph:
            graph.wait()
        return graph.status
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
