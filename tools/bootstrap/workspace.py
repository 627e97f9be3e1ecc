"""Builds both packages with colcon on top of the ROS wheels."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tools.bootstrap.environment import for_build
from tools.bootstrap.stage import Progress
from tools.bootstrap.stamp import Stamp, fingerprint

PACKAGES = ("vla_ros_msgs", "vla_ros")

#: Folders whose files setup.py installs; a file added or removed there asks for a new build, a
#: changed one does not (--symlink-install).
SHARED = ("launch", "config", "urdf", "checkpoints")


def provide(root: Path, progress: Progress, *, anew: bool) -> None:
    """Makes ``install`` complete.

    Args:
        root: The repository.
        progress: Where the work is shown.
        anew: Throw away what was built before.
    """
    stamp = Stamp(root / "install" / ".vla_setup", _fingerprint(root))
    state = stamp.state()
    complete = all((root / "install" / name / "share" / name).is_dir() for name in PACKAGES)
    if state == "finished" and complete and (root / "build").is_dir() and not anew:
        return
    if state == "interrupted" or anew:
        for name in ("build", "install"):
            shutil.rmtree(root / name, ignore_errors=True)
    venv = root / ".venv"
    with progress.stage("build", "colcon build of vla_ros_msgs and vla_ros"):
        stamp.begin()
        progress.run(
            [
                *(venv / "bin" / "colcon", "build", "--event-handlers", "console_direct+"),
                *("--cmake-args", f"-DPython3_EXECUTABLE={venv / 'bin' / 'python'}"),
                *("-DBUILD_TESTING=OFF", "-Wno-dev"),
                *("-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0"),
            ],
            env={**for_build(os.environ, venv), "MAKEFLAGS": f"-j{os.cpu_count() or 1}"},
            cwd=root,
            advice="read the first error above it in the log. After a change of compiler or of "
            "Python: make clean, then the same make command again.",
        )
        stamp.finish()


def _fingerprint(root: Path) -> str:
    interfaces = sorted(path for path in (root / "msg").rglob("*") if path.is_file())
    names = ("setup.py", "setup.cfg", "package.xml", "requirements/ros.txt")
    settings = [root / name for name in names]
    shared = sorted(
        str(path.relative_to(root))
        for top in SHARED
        for path in (root / top).rglob("*")
        if path.is_file()
    )
    return fingerprint([sys.version, str(root), *shared], [*interfaces, *settings])
