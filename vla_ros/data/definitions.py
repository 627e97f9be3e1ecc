"""Message definitions for bags, so that they are read anywhere without this package."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from vla_ros.errors import VlaError


class UnknownTypeError(VlaError):
    """A message type whose definition is nowhere."""


class Definitions:
    """The stock types of ROS 2 Jazzy, and any installed type on demand.

    Args:
        share_of: Package name -> its installed share folder; raises ``LookupError`` where the
            package is not installed (``ament_index_python.get_package_share_directory``).
    """

    def __init__(self, share_of: Callable[[str], str]) -> None:
        self.store: Typestore = get_typestore(Stores.ROS2_JAZZY)
        self._share_of = share_of

    def require(self, names: Iterable[str]) -> None:
        """Makes types known, with all they consist of.

        Args:
            names: For example ``vla_ros_msgs/msg/Observation``.

        Raises:
            UnknownTypeError: No definition of a type is installed.
        """
        found: dict[str, Any] = {}
        todo = list(names)
        while todo:
            name = todo.pop()
            if name in found or name in self.store.fielddefs:
                continue
            types = get_types_from_msg(self._text(name), name)
            found.update(types)
            for _, fields in types.values():
                todo += [inner for _, kind in fields if (inner := _name_in(kind))]
        self.store.register(found)

    def _text(self, name: str) -> str:
        package, kind, short = name.split("/")
        try:
            path = Path(self._share_of(package)) / kind / f"{short}.msg"
            return path.read_text(encoding="utf-8")
        except (LookupError, OSError) as error:
            raise UnknownTypeError(
                f"no definition of {name} is installed: {error}. Source the workspace that has "
                f"the package {package}"
            ) from error


def _name_in(kind: tuple[Any, Any]) -> str:
    """Type name inside a field's kind, through arrays and sequences; empty for base types."""
    node, content = kind
    if node.name == "NAME":
        return str(content)
    if node.name in ("ARRAY", "SEQUENCE"):
        return _name_in(content[0])
    return ""
