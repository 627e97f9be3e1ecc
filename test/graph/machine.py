"""How much of its time the computer gives us: on one that gives none, real time proves nothing.

A host may take the processors of a virtual machine away for seconds. A process that naps notices,
and the kernel counts what it knows of as *steal* (proc(5), /proc/stat).
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HELD_UP_S, HELD_UP_SHARE = 0.25, 0.1
"""Beside the nodes of these tests alone, on 2 cores, naps oversleep by 0.11 s at most and by 5 % of
the time; 23 % in one test that keeps both cores busy, more only where a test ends in a blink."""

CALM_S, CALM_SHARE = 0.05, 0.05

_NAPS = """
import sys, threading, time
over, worst, late = threading.Event(), 0.0, 0.0
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
begin = last = time.monotonic()
while True:
    time.sleep(0.02)
    now = time.monotonic()
    late, worst, last = late + now - last - 0.02, max(worst, now - last - 0.02), now
    if over.is_set():
        break
print(worst, late / (last - begin))
"""


class MachineWatch:
    """Watches while it is entered.

    Attributes:
        worst_s: The longest time that a nap overslept, in [s].
        share: Of all time, what naps overslept or the host took, whichever is more, in [0, 1].
    """

    def __init__(self) -> None:
        self.worst_s = self.share = 0.0
        self._before = _ticks()
        self._naps = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", _NAPS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests
        )

    def __enter__(self) -> MachineWatch:
        return self

    def __exit__(self, *_: object) -> None:
        said, _ = self._naps.communicate()
        self.worst_s, overslept = map(float, said.split())
        stolen, total = (now - then for now, then in zip(_ticks(), self._before, strict=True))
        self.share = max(overslept, stolen / max(total, 1))

    @property
    def held_up(self) -> bool:
        """Whether a test in real time cannot be expected to pass."""
        return self.worst_s > HELD_UP_S or self.share > HELD_UP_SHARE

    @property
    def calm(self) -> bool:
        """Whether it is as it should be."""
        return self.worst_s < CALM_S and self.share < CALM_SHARE


def wait_for_calm(patience_s: float) -> None:
    """Waits until two seconds were calm, at most for so long."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        with MachineWatch() as machine:
            time.sleep(2.0)
        if machine.calm:
            return


def _ticks() -> tuple[int, int]:
    """Taken by the host, and all, since the start."""
    values = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return values[7], sum(values)
