"""What the parts without ROS log, in the node's own log: on the console and on /rosout."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rclpy.impl.rcutils_logger import RcutilsLogger

PACKAGE = "vla_ros"


class _ToNode(logging.Handler):
    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__(logging.INFO)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        # A line each, because rclpy refuses two severities from one line of a program.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


@contextmanager
def said_by(logger: RcutilsLogger) -> Iterator[None]:
    """Until the block ends, whatever the package logs from INFO on is said by a node's logger."""
    package, handler = logging.getLogger(PACKAGE), _ToNode(logger)
    before = package.level
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(before)
