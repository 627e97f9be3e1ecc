"""A graph of processes that start together, end together and leave nothing behind.

Each process leads its own session, so a Ctrl-C in the terminal reaches only us; we pass it on once,
and escalate to SIGTERM and SIGKILL of the whole process group when time is up. If we are killed
ourselves, the kernel kills them (``PR_SET_PDEATHSIG``, see prctl(2)).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_POLL_S = 0.05
_ESCALATION = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def dies_with_us() -> Callable[[], None]:
    """What a child runs first (``preexec_fn``), so that the kernel kills it when we are killed."""
    parent = os.getpid()

    def in_child() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # we died before the line above
            os._exit(1)

    return in_child


@dataclass(frozen=True, kw_only=True)
class Command:
    """One process to run.

    Attributes:
        label: Unique name that prefixes its output.
        environment: Set on top of our own environment.
        required: When it ends, everything ends.
    """

    label: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    required: bool


@dataclass
class _Child:
    command: Command
    process: subprocess.Popen[bytes]
    unfinished_line: bytes = b""
    asked_to_stop: bool = False


class ProcessGraph:
    """Runs commands, hands on what they print line by line, and ends them as one.

    Start and stop are safe from any thread, but the thread that calls `start` must outlive the
    graph: Linux ties the parent-death signal to that thread. Use it as a context manager; leaving
    it stops everything.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        on_line: Callable[[str, str], None],
        *,
        interrupt_s: float = 8.0,
        terminate_s: float = 3.0,
    ) -> None:
        """Prepare, start nothing.

        Args:
            commands: What to run; labels must differ.
            on_line: Called with label and line, from one background thread; our own remarks have
                the label "launch".
            interrupt_s: Time between SIGINT and SIGTERM.
            terminate_s: Time between SIGTERM and SIGKILL.
        """
        labels = [c.label for c in commands]
        if len(set(labels)) != len(labels):
            raise ValueError(f"labels={labels}: each process needs its own.")
        self._commands = tuple(commands)
        self._on_line = on_line
        self._limits_s = (interrupt_s, terminate_s)
        self._children: list[_Child] = []
        self._codes: dict[str, int] = {}
        self._failed = False
        self._stage = 0  # how many signals of _ESCALATION are wanted by now
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._pump, name="process-graph", daemon=True)

    # -- from outside ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every process; when one cannot be started, stop the others and raise OSError."""
        try:
            for command in self._commands:
                process = subprocess.Popen(
                    command.argv,
                    env={**os.environ, **command.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=dies_with_us(),
                )
                self._children.append(_Child(command, process))
        except BaseException:
            self._stage = len(_ESCALATION)
            self._thread.start()
            self._over.wait()
            raise
        self._thread.start()

    def stop(self, wait_s: float | None = None) -> None:
        """Ask everything to end, and wait for it; a further call escalates at once."""
        self.request_stop()
        self._over.wait(wait_s)

    def request_stop(self) -> None:
        """Send SIGINT; called again, SIGTERM, then SIGKILL. Returns at once, safe in a signal
        handler.
        """
        self._stage = min(self._stage + 1, len(_ESCALATION))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether everything has ended within the time."""
        return self._over.wait(timeout_s)

    def pid(self, label: str) -> int:
        """Process id of one node, for tests and tools that signal it."""
        return next(c.process.pid for c in self._children if c.command.label == label)

    @property
    def exit_codes(self) -> Mapping[str, int]:
        """Label -> exit status of those that ended, negative for a signal."""
        with self._lock:
            return dict(self._codes)

    @property
    def status(self) -> int:
        """0 when every process ended well: on its own with 0, or at our request before we lost
        patience.
        """
        return 1 if self._failed else 0

    def __enter__(self) -> ProcessGraph:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._over.is_set():
            self.stop()

    # -- the thread --------------------------------------------------------------------------------

    def _pump(self) -> None:
        sent, sent_at = 0, 0.0
        with selectors.DefaultSelector() as selector:
            for child in self._children:
                selector.register(_pipe(child), selectors.EVENT_READ, child)
            running = list(self._children)
            while running:
                self._read(selector)
                for child in [c for c in running if c.process.poll() is not None]:
                    running.remove(child)
                    self._ended(child, selector)
                if (
                    sent
                    and sent < len(_ESCALATION)
                    and time.monotonic() - sent_at > self._limits_s[sent - 1]
                ):
                    self._stage = max(self._stage, sent + 1)
                if self._stage > sent:
                    sent, sent_at = self._stage, time.monotonic()
                    self._signal(running, _ESCALATION[sent - 1])
        self._over.set()

    def _read(self, selector: selectors.BaseSelector) -> None:
        if not selector.get_map():
            time.sleep(_POLL_S)
        for key, _ in selector.select(_POLL_S):
            child: _Child = key.data
            data = os.read(key.fd, 65536)
            if not data:
                selector.unregister(key.fileobj)
                continue
            *lines, child.unfinished_line = (child.unfinished_line + data).split(b"\n")
            for line in lines:
                self._say(child.command.label, line)

    def _ended(self, child: _Child, selector: selectors.BaseSelector) -> None:
        label, code = child.command.label, child.process.returncode
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)  # whatever it started itself
        pipe = _pipe(child)
        with contextlib.suppress(KeyError):
            selector.unregister(pipe)
        os.set_blocking(pipe.fileno(), False)
        rest = pipe.read() or b""
        pipe.close()
        for line in filter(None, (child.unfinished_line + rest).split(b"\n")):
            self._say(label, line)
        with self._lock:
            self._codes[label] = code
        good = (
            (0, -signal.SIGINT, 128 + signal.SIGINT, -signal.SIGTERM)
            if child.asked_to_stop
            else (0,)
        )
        if code not in good:
            self._failed = True
            self._say("launch", f"{label} ended with {_code_text(code)}".encode())
        elif not child.asked_to_stop:
            self._say("launch", f"{label} finished".encode())
        if child.command.required and self._stage == 0:
            self._say("launch", f"{label} is required: stopping the others".encode())
            self._stage = 1

    def _signal(self, running: Sequence[_Child], number: signal.Signals) -> None:
        for child in running:
            child.asked_to_stop = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, number)
        if number != signal.SIGINT and running:
            names = ", ".join(c.command.label for c in running)
            self._say("launch", f"{names} did not stop in time: sent {number.name}".encode())

    def _say(self, label: str, line: bytes) -> None:
        self._on_line(label, line.decode(errors="replace").rstrip("\r"))


def _pipe(child: _Child) -> IO[bytes]:
    pipe = child.process.stdout
    assert pipe is not None  # Popen was given PIPE
    return pipe


def _code_text(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name
