"""What must come from the operating system: a C++ compiler, Python's headers, venv, and OpenGL.

Installed through apt where that needs no password, else the exact command is printed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.bootstrap.failure import SetupError
from tools.bootstrap.stage import Progress


@dataclass(frozen=True, kw_only=True)
class Need:
    """One thing from the system.

    Attributes:
        what: What it is, and what for.
        packages: Its Debian and Ubuntu packages.
        present: Says whether it is here.
    """

    what: str
    packages: tuple[str, ...]
    present: Callable[[], bool]


def needs() -> tuple[Need, ...]:
    """Everything the set-up needs from the system."""
    version = f"python3.{sys.version_info.minor}"
    return (
        Need(what="a C++ compiler (to build the messages)", packages=("g++",), present=_compiler),
        Need(what="make (to build the messages)", packages=("make",), present=_make),
        Need(
            what=f"the headers of this Python ({sys.executable})",
            packages=(f"{version}-dev",),
            present=_headers,
        ),
        Need(
            what=f"venv and ensurepip of this Python ({sys.executable})",
            packages=(f"{version}-venv",),
            present=lambda: importlib.util.find_spec("ensurepip") is not None,
        ),
        Need(
            what="OpenGL without a screen: EGL with Mesa, or OSMesa (to render the cameras)",
            packages=("libegl1", "libegl-mesa0", "libgl1-mesa-dri"),
            present=graphics,
        ),
    )


def provide(progress: Progress) -> None:
    """Installs what is missing, or says how.

    Raises:
        SetupError: Something is missing and cannot be installed from here.
    """
    missing = [need for need in needs() if not need.present()]
    if not missing:
        return
    packages = [package for need in missing for package in need.packages]
    listing = "".join(f"\n  - {need.what}" for need in missing)
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    by_hand = command.replace("apt-get", "sudo apt-get")
    prefix = _root_prefix()
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"missing on this system:{listing}\nThere is no apt-get here. On Debian or Ubuntu it "
            f"would be: {by_hand}\nInstall the same with this system's package manager, then run "
            "the same make command again."
        )
    if prefix is None:
        raise SetupError(
            f"missing on this system:{listing}\nInstalling needs a password. Please run:\n"
            f"  {by_hand}\nthen the same make command again."
        )
    with progress.stage("system", f"installing through apt: {' '.join(packages)}"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        advice = f"run it by hand and read what apt says: {by_hand}"
        install = [*prefix, "apt-get", "install", "-y", "--no-install-recommends", *packages]
        progress.run([*prefix, "apt-get", "update"], env=environment, advice=advice)
        progress.run(install, env=environment, advice=advice)
    still = [need.what for need in missing if not need.present()]
    if still:
        raise SetupError(
            f"apt-get succeeded, but still missing: {'; '.join(still)}.\nIf this Python does not "
            "come from apt, its headers and venv do not either: use another one, for example "
            "make PYTHON=/usr/bin/python3 demo"
        )


def graphics() -> bool:
    """Whether the libraries of EGL with a vendor, or of OSMesa, can be loaded."""
    vendors = (Path("/usr/share/glvnd/egl_vendor.d"), Path("/etc/glvnd/egl_vendor.d"))
    has_vendor = any(any(folder.glob("*.json")) for folder in vendors)
    return (has_vendor and _loads("libEGL.so.1")) or _loads("libOSMesa.so.8")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _compiler() -> bool:
    named = os.environ.get("CXX", "").split()
    return any(shutil.which(name) for name in ([named[0]] if named else ["c++", "g++", "clang++"]))


def _make() -> bool:
    return shutil.which("make") is not None or shutil.which("gmake") is not None


def _headers() -> bool:
    return (Path(sysconfig.get_path("include")) / "Python.h").is_file()


def _root_prefix() -> list[str] | None:
    """How to run something as root without a password; None where that is not possible."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is not None:
        silent = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False)
        if silent.returncode == 0:
            return [sudo, "-n"]
    return None
