"""Checks the Python version in words that every Python 3 can parse, then hands over."""

import sys

OLDEST, NEWEST = (3, 10), (3, 13)

# `%`, so that older versions get this far.
if not OLDEST <= sys.version_info[:2] <= NEWEST:
    sys.exit(
        "set-up: this is Python %d.%d (%s); expected 3.10 to 3.13, for which wheels of ROS 2 and "
        "torch exist. Name another one: make PYTHON=python3.12 demo"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

from tools.bootstrap.main import main  # noqa: E402

sys.exit(main())
