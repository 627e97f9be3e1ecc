"""A ROS domain of one's own: a demo or a test must never meet another graph, or move its robot."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_ros.errors import VlaError
from vla_ros.robot.files import shared_folder

_DOMAINS = range(1, 102)
"""Their ports lie below Linux's ephemeral range (ROS 2 documentation, "The ROS_DOMAIN_ID")."""


class DomainError(VlaError):
    """Every domain is taken."""


@contextmanager
def isolated_domain() -> Iterator[dict[str, str]]:
    """Holds a free domain on this machine and gives the environment that processes need for it.

    The lock is a file held open, so a process that dies gives its domain back.

    Yields:
        Variables to add to the environment of every process of the graph.

    Raises:
        DomainError: Every domain is held by somebody.
    """
    number, lock = _free_domain()
    try:
        yield {
            "ROS_DOMAIN_ID": str(number),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            **transports(),
        }
    finally:
        os.close(lock)


def transports() -> dict[str, str]:
    """Variables that make Fast DDS carry camera images whole; see ``config/fastdds.xml``."""
    profile = str(shared_folder() / "config" / "fastdds.xml")
    return {"FASTRTPS_DEFAULT_PROFILES_FILE": profile, "FASTDDS_DEFAULT_PROFILES_FILE": profile}


def _free_domain() -> tuple[int, int]:
    folder = Path(tempfile.gettempdir()) / "vla_ros_domains"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    start = os.getpid() % len(_DOMAINS)
    for number in (*_DOMAINS[start:], *_DOMAINS[:start]):
        lock = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        return number, lock
    raise DomainError(
        f"all ROS domains {_DOMAINS.start} .. {_DOMAINS.stop - 1} are held by lock files in "
        f"{folder}; stop some of the graphs that run on this machine"
    )
