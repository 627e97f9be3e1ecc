"""The set-up, stage by stage."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.bootstrap import system, venv, workspace
from tools.bootstrap.failure import SetupError
from tools.bootstrap.stage import Progress

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Runs every stage that is not up to date. Returns the exit status."""
    progress = Progress(ROOT / "log" / "setup")
    try:
        check_place(ROOT)
        with one_at_a_time(ROOT / "log", progress):
            system.provide(progress)
            renewed = venv.provide(ROOT, progress)
            workspace.provide(ROOT, progress, anew=renewed)
        progress.summary()
    except SetupError as failure:
        print(f"\nset-up failed: {failure}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("\nset-up interrupted; the next one repairs what is half done", file=sys.stderr)
        return 130
    return 0


def check_place(root: Path) -> None:
    """Refuses machines and folders on which the wheels or ROS's build tools cannot work."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise SetupError(
            f"this is {platform.system()} on {platform.machine()}; the ROS 2 wheels exist for "
            "Linux on x86_64. On other computers install ROS 2 Jazzy and build as README.md says "
            "under 'On a robot'."
        )
    if any(character.isspace() for character in str(root)):
        raise SetupError(
            f"the path of this folder contains a space: '{root}'. ROS's build tools do not support "
            "that. Move the folder, then run the same make command there."
        )
    if not os.access(root, os.W_OK):
        raise SetupError(f"'{root}' is not writable; clone into a folder of your own.")


@contextlib.contextmanager
def one_at_a_time(folder: Path, progress: Progress) -> Iterator[None]:
    """Holds a lock, so that two make commands do not set up the same folder at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "setup.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another set-up works in this folder; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
