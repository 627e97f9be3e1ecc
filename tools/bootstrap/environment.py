"""The environment of the set-up's commands: without a ROS installation that the shell sourced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

#: Variables by which a sourced ROS installation or workspace would get into the build. Kept in step
#: with tools/env.sh.
SOURCED = (
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "PKG_CONFIG_PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "ROS_DISTRO",
    "ROS_PYTHON_VERSION",
    "ROS_VERSION",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
)


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a sourced workspace set."""
    return {name: value for name, value in environment.items() if name not in SOURCED}


def for_build(environment: Mapping[str, str], venv: Path) -> dict[str, str]:
    """The environment of ``colcon build`` on top of the ROS wheels in ``venv``."""
    return {
        **clean(environment),
        "AMENT_PREFIX_PATH": str(venv),
        "CMAKE_PREFIX_PATH": str(venv),
        "PATH": f"{venv / 'bin'}:{environment.get('PATH', '/usr/bin:/bin')}",
        "VIRTUAL_ENV": str(venv),
    }
