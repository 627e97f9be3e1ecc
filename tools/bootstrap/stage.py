"""Stages: run commands with visible progress and a time, and keep their output in a log."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tools.bootstrap.failure import SetupError

#: A line of progress at least this often [s], faster where a terminal can rewrite it.
HEARTBEAT_S = 10.0
TERMINAL_HEARTBEAT_S = 0.5
TAIL_LINES = 30


class Progress:
    """Prints the stages of the set-up and their times.

    Args:
        log_dir: Folder that receives one log file per stage.
    """

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._terminal = sys.stdout.isatty()
        self._times: list[tuple[str, float]] = []
        self._stage = ""

    @contextlib.contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        """Times one stage; ``name`` also names its log file."""
        self._stage = name
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        self._log_path.write_text("", encoding="utf-8")
        self.say(f"[{name}] {text}")
        start = time.monotonic()
        yield
        took = time.monotonic() - start
        self._times.append((name, took))
        self.say(f"[{name}] done in {took:.1f} s")

    def run(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        advice: str,
    ) -> None:
        """Runs a command, showing its last line of output while it works.

        Args:
            command: Program and arguments.
            env: Its whole environment; ours where None.
            cwd: Its folder.
            advice: What to do when it fails.

        Raises:
            SetupError: The command failed; the text holds the end of its output and the advice.
        """
        words = [str(word) for word in command]
        with self._log_path.open("ab") as log:
            log.write(("$ " + " ".join(words) + "\n").encode())
            log.flush()
            process = subprocess.Popen(
                words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                self._watch(process)
            except BaseException:
                process.terminate()
                process.wait()
                raise
        if process.returncode != 0:
            tail = "\n".join(f"    {line}" for line in self._lines()[-TAIL_LINES:])
            raise SetupError(
                f"`{words[0]}` ended with status {process.returncode}. The end of its output:\n"
                f"{tail}\nAll of it: {self._log_path}\nWhat to do: {advice}"
            )

    def say(self, text: str) -> None:
        """Prints a line now."""
        print(text, flush=True)

    def summary(self) -> None:
        """Prints the time of every stage that did something."""
        if self._times:
            stages = ", ".join(f"{name} {took:.1f} s" for name, took in self._times)
            self.say(f"set-up took {sum(took for _, took in self._times):.1f} s ({stages})")

    @property
    def _log_path(self) -> Path:
        return self._log_dir / f"{self._stage}.log"

    def _lines(self) -> list[str]:
        with self._log_path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 20_000))
            text = log.read().decode(errors="replace")
        return [line.rstrip() for line in text.replace("\r", "\n").split("\n") if line.strip()]

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        start = time.monotonic()
        interval = TERMINAL_HEARTBEAT_S if self._terminal else HEARTBEAT_S
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=interval)
                break
            lines = [line.strip() for line in self._lines() if "WARNING" not in line]
            last = lines[-1] if lines else ""
            text = f"    {time.monotonic() - start:4.0f} s  {last}"
            if self._terminal:
                width = max(20, os.get_terminal_size().columns - 1)
                print(f"\r\033[K{text[:width]}", end="", flush=True)
            else:
                print(text[:160], flush=True)
        if self._terminal:
            print("\r\033[K", end="", flush=True)
