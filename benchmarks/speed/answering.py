"""The loop of a measured process: it answers each line of its input with a line of JSON.

    floor     -> seconds of the processor for the bare matrix products of one chunk (our side)
    any other -> seconds of the processor and of the clock for one chunk, which goes to a file that
                 the line names

Needs torch alone, so that it runs in LeRobot's environment, too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def memory(kind: str) -> int:
    """Bytes of this process: ``VmRSS`` at present, ``VmHWM`` at most so far."""
    status = Path("/proc/self/status").read_text()
    return next(
        int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(kind)
    )


def say(**values: Any) -> None:
    """One line of JSON."""
    print(json.dumps(values), flush=True)


def answer(
    folder: Path, chunk: Callable[[], torch.Tensor], more: dict[str, Callable[[], float]]
) -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        word = line.strip()
        if word in more:
            say(cpu_s=more[word]())
            continue
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.no_grad():
            out = chunk()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        torch.save(out.float(), folder / word)
        say(cpu_s=cpu, wall_s=wall)
