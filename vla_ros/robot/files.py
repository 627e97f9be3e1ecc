"""Where the files shipped with the package lie: in a checkout, or in an install's share folder."""

from __future__ import annotations

from pathlib import Path

from vla_ros.errors import VlaError

_PACKAGE = "vla_ros"


class SharedFilesError(VlaError):
    """The files shipped with the package are not where an installation puts them."""


def shared_folder() -> Path:
    """The folder holding ``config``, ``urdf``, ``launch`` and ``checkpoints``.

    Raises:
        SharedFilesError: neither a checkout nor an installation surrounds this module.
    """
    here = Path(__file__).resolve()
    for parent in here.parents[2:]:
        if (parent / "package.xml").is_file() and (parent / "config").is_dir():
            return parent
        if (parent / "share" / _PACKAGE / "config").is_dir():
            return parent / "share" / _PACKAGE
    raise SharedFilesError(
        f"no shared files of {_PACKAGE}: expected a checkout or share/{_PACKAGE} above {here}; "
        "build the package with colcon, or run from a checkout"
    )
