"""A node's main function: start, spin, stop cleanly on SIGINT and SIGTERM, say why it failed."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import rclpy
from rclpy.executors import Executor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from vla_ros.errors import VlaError
from vla_ros.ros.executor import LeanExecutor
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.logs import said_by

_LOADED_POLL_S = 0.05
_GOODBYE_S = 1.0
"""For the results of goals that a node ends when it is told to stop."""
_SENDING_S = 0.2
_SAME_SIGNAL_S = 1.0
"""A terminal and a launcher both pass on one Ctrl-C: what follows this closely is no second one."""


def run(make: Callable[[], VlaNode[Any]]) -> int:
    """Runs one node until a signal, a failure, or ``node.finish``.

    rclpy's own signal handlers would shut the context down first, and a node could not say
    good-bye (end its goals, close its bag) any more.

    Args:
        make: Constructs the node, usually its class.

    Returns:
        Exit status: 0 after a clean stop, 1 after a failure, whose words are on stderr.
    """
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    node: VlaNode[Any] | None = None
    executor = LeanExecutor()
    logs = ExitStack()
    try:
        node = make()
        logs.enter_context(said_by(node.get_logger()))
        executor.add_node(node)
        stopping = _Stop(executor)
        if node.parameters.autostart:
            _autostart(node, stopping)
        while not stopping.requested and not node.finished:
            executor.spin_once()
        _say_goodbye(node, executor)
        node.trigger_shutdown()
        return 1 if node.failure else 0
    except VlaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        logs.close()
        if node is not None:
            node.release_everything()
            node.destroy_node()
        rclpy.try_shutdown()
        # `ros2 launch` interrupts again when a required node is gone; this one is all but gone.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _say_goodbye(node: VlaNode[Any], executor: Executor) -> None:
    """Lets goals that end now reach their clients; returns at once where there are none."""
    told = node.leave()
    if told():
        return
    end_s = time.monotonic() + _GOODBYE_S
    while not told() and time.monotonic() < end_s:
        executor.spin_once(timeout_sec=_LOADED_POLL_S)
    end_s = time.monotonic() + _SENDING_S  # rclpy sends a result some turns after the goal's end
    while time.monotonic() < end_s:
        executor.spin_once(timeout_sec=_LOADED_POLL_S)


def _autostart(node: VlaNode[Any], stopping: _Stop) -> None:
    """Configures at once, activates as soon as the node has loaded."""
    if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
        stopping.requested = True
        return

    def activate() -> None:
        try:
            if not node.loaded():
                return
        except VlaError as error:
            node.finish(str(error))
            return
        node.destroy_timer(timer)
        if node.trigger_activate() != TransitionCallbackReturn.SUCCESS:
            stopping.requested = True

    timer = node.create_timer(_LOADED_POLL_S, activate, clock=node.steady_clock)


class _Stop:
    """Wakes the executor on SIGINT and SIGTERM; a later second one ends the process at once."""

    def __init__(self, executor: Executor) -> None:
        self.requested = False
        self._executor = executor
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        # Python's handlers wait for the executor's C code; the wake-up descriptor does not.
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def _watch(self) -> None:
        self._read.recv(1)
        self.requested = True
        self._executor.wake()
        first_s = time.monotonic()
        while time.monotonic() < first_s + _SAME_SIGNAL_S:
            self._read.recv(1)
        os._exit(130)
