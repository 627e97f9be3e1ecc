"""Settings of every test."""

from __future__ import annotations

import os

from hypothesis import settings

# Before numpy and torch load: tests run beside each other, and measure nothing.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Whatever a test starts stays on this computer.
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
# How long an example takes is a matter of what else the computer does.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
# Counterexamples are looked for with `--hypothesis-profile=search --timeout=0`.
settings.register_profile("search", max_examples=6000, deadline=None)
