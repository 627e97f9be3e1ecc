"""Says what to do when the message package was not built beside this one."""

from __future__ import annotations

import importlib.util

from vla_ros.errors import VlaError

HOW_TO_BUILD = (
    "the package vla_ros_msgs is not found. It lies inside this repository, below vla_ros, where "
    "colcon does not look by itself. In the folder of the workspace:\n"
    "  colcon build --base-paths src src/vla_ros/msg\n"
    "  source install/setup.bash\n"
    "In the repository itself, without a ROS installation: make setup, then source tools/env.sh"
)


class MessagesMissing(VlaError):
    """vla_ros_msgs cannot be imported."""


def require_messages() -> None:
    """Checks that the messages are built and sourced.

    Raises:
        MessagesMissing: They are not; the text says how to build them.
    """
    if importlib.util.find_spec("vla_ros_msgs") is None:
        raise MessagesMissing(HOW_TO_BUILD)
