"""Checks the Python version in words that every Python 3 can parse, then hands over."""

import sys

OLDEST, NEWEST = (3, 10), (3, 13)

if not OLDEST <= sys.version_info[:2] <= NEWEST:
    sys.exit(
        "set-up: this is Python {}.{} ({}); expected 3.10 to 3.13, for which ROS 2 and torch wheels "
        "exist. Name another one: make PYTHON=python3.12 demo".format(
            sys.version_info[0], sys.version_info[1], sys.executable
        )
    )

from tools.bootstrap.main import main  # noqa: E402

sys.exit(main())
