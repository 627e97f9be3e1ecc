"""A test that failed while the computer was held up is run again, and the summary says so.

A failure on a computer that kept its time is a failure at once; so is the third one.
"""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol
from machine import MachineWatch, wait_for_calm

TRIES = 3
CALM_PATIENCE_S = 60.0

_AGAIN: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    for tries in range(1, TRIES + 1):
        with MachineWatch() as machine:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if tries == TRIES or not machine.held_up or not any(r.failed for r in reports):
            break
        again = item.config.stash.setdefault(_AGAIN, [])
        again.append(
            f"{item.nodeid}: failed while the computer was held up for {machine.worst_s:.2f} s at "
            f"once, {machine.share:.0%} of the time"
        )
        item.session._setupstate.teardown_exact(None)  # nothing of the failed try is used again
        wait_for_calm(CALM_PATIENCE_S)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_AGAIN, []):
        terminalreporter.write_line(f"RUN AGAIN {line}")
