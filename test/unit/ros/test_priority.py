"""Real-time priority: taken where it is permitted, and what to do in words where it is not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vla_ros.ros.priority import claim

TRY = """
import os, sys, threading
from vla_ros.ros.priority import claim
before = threading.Thread(target=threading.Event().wait, daemon=True)
before.start()
if claim(7):
    sys.exit(3)
def own(): print(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)
own()
after = threading.Thread(target=own)
after.start()
after.join()
print(os.sched_getscheduler(before.native_id))
"""


def test_zero_changes_nothing():
    before = os.sched_getscheduler(0)
    assert claim(0) == ""
    assert os.sched_getscheduler(0) == before


def test_threads_that_run_and_threads_to_come_have_it():
    done = subprocess.run([sys.executable, "-c", TRY], capture_output=True, text=True, timeout=60)
    if done.returncode == 3:
        pytest.skip("real-time priorities are not permitted here")
    fifo = str(os.SCHED_FIFO)
    assert done.stdout.split() == [fifo, "7", fifo, "7", fifo], done.stderr


def test_what_prevents_it_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    words = claim(40)
    assert "Operation not permitted" in words
    assert "limits.conf" in words
