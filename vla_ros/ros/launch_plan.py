"""What a launch file asks for, every substitution done: its arguments and its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vla_ros.errors import VlaError

ParameterValue = str | int | float | bool | list[Any]


class LaunchFileError(VlaError):
    """A launch file says something that this runner does not understand, or that makes no sense."""


@dataclass(frozen=True, kw_only=True)
class LaunchArgument:
    """One ``arg`` of a launch file, as ``--show-args`` prints it. ``default`` None means:
    required.
    """

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """One ``node`` of a launch file with every substitution done.

    Attributes:
        namespace: Absolute namespace, "" for the root.
        parameters: In order, later wins: a path is a parameter file, a pair a single parameter.
        required: ``on_exit: shutdown``; when this node ends, the whole graph does.
        environment: Variables set on top of the runner's own.
    """

    package: str
    executable: str
    name: str
    namespace: str
    parameters: tuple[Path | tuple[str, ParameterValue], ...]
    remappings: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    required: bool

    @property
    def label(self) -> str:
        """What the output of this node is prefixed with."""
        return self.name or self.executable

    def ros_arguments(self) -> tuple[str, ...]:
        """Command line after the executable: own arguments, then everything ROS."""
        words = [*self.arguments, "--ros-args"]
        if self.name:
            words += ["-r", f"__node:={self.name}"]
        if self.namespace:
            words += ["-r", f"__ns:={self.namespace}"]
        for entry in self.parameters:
            if isinstance(entry, Path):
                words += ["--params-file", str(entry)]
            else:
                words += ["-p", f"{entry[0]}:={_flow(entry[1])}"]
        for source, target in self.remappings:
            words += ["-r", f"{source}:={target}"]
        return tuple(words)


@dataclass(frozen=True, kw_only=True)
class LaunchPlan:
    """Everything a launch file asks for, in file order."""

    arguments: tuple[LaunchArgument, ...]
    nodes: tuple[NodeSpec, ...]


def _flow(value: ParameterValue) -> str:
    """One YAML line that rcl reads back as the same type (text stays text)."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9).strip()
    return text.removesuffix("...").strip()
