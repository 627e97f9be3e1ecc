"""How much of its time the computer gives us: on one that gives none, real time proves nothing.

A host may take the processors of a virtual machine away for seconds. A thread that naps notices,
whatever the reason. Beside the nodes of these tests alone it oversleeps by 0.1 s at most.
"""

from __future__ import annotations

import threading
import time

NAP_S = 0.02
HELD_UP_S, HELD_UP_SHARE = 0.25, 0.3
CALM_S, CALM_SHARE = 0.05, 0.1


class MachineWatch:
    """Watches while it is entered.

    Attributes:
        worst_s: The longest time that a nap overslept, in [s].
        share: Overslept time of all time, in [0, 1].
    """

    def __init__(self) -> None:
        self.worst_s = self.share = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MachineWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def held_up(self) -> bool:
        """Whether a test in real time cannot be expected to pass."""
        return self.worst_s > HELD_UP_S or self.share > HELD_UP_SHARE

    @property
    def calm(self) -> bool:
        """Whether it is as it should be."""
        return self.worst_s < CALM_S and self.share < CALM_SHARE

    def _watch(self) -> None:
        begin = last = time.monotonic()
        overslept_s = 0.0
        while not self._over.is_set():
            time.sleep(NAP_S)
            now = time.monotonic()
            late_s, last = now - last - NAP_S, now
            overslept_s += late_s
            self.worst_s = max(self.worst_s, late_s)
            self.share = overslept_s / (now - begin)


def wait_for_calm(patience_s: float) -> None:
    """Waits until two seconds were calm, at most for so long."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        with MachineWatch() as machine:
            time.sleep(2.0)
        if machine.calm:
            return
