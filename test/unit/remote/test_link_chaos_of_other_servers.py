"""A bad network to openpi's, GR00T's and LeRobot's servers: an error in time, or the truth.

`test/unit/serve/test_link_chaos.py` does the same to `vla serve`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed (requirements/remote.txt)")
pytest.importorskip("grpc", reason="grpcio is not installed (requirements/remote.txt)")

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))
sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))
sys.path.insert(0, str(Path(__file__).parent))

import test_groot
import test_lerobot
import test_openpi
from chaos import ChaosProxy
from openpi_server import OpenpiServer
from test_openpi import request_for

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Policy

pytestmark = pytest.mark.slow

LIMIT_S = 0.6
SLACK_S = 4.0
"""A loaded computer may take this long more, and LeRobot's set-up another `connect_s`."""
PEERS = ("openpi", "groot", "lerobot")


def counts_letters(observation: dict) -> dict:
    return {"actions": np.full((5, 4), len(observation["prompt"]), np.float32)}


def letters_in(chunk: np.ndarray) -> float:
    """The gripper's column: the length of the prompt that was answered."""
    return float(chunk[0, -1])


class Peer:
    """A server of one kind in another process (openpi's: thread), and its client over a proxy."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._stack = ExitStack()
        self.proxy = self._stack.enter_context(ChaosProxy(("127.0.0.1", self._serve())))
        self.client = self._client(folder)
        self._stack.callback(self.client.close)

    def _serve(self) -> int:
        if self.kind == "openpi":
            return self._stack.enter_context(OpenpiServer(counts_letters)).port
        module: ModuleType = {"groot": test_groot, "lerobot": test_lerobot}[self.kind]
        server = {"groot": "groot_server", "lerobot": "lerobot_server"}[self.kind]
        arguments = () if self.kind == "groot" else ("good",)
        return int(self._stack.enter_context(getattr(module, server)(*arguments)))

    def _client(self, folder: Path) -> Policy:
        port = self.proxy.port
        if self.kind == "groot":
            return test_groot.client_for(folder, port)
        if self.kind == "lerobot":
            return test_lerobot.client_for(
                folder, port, ("infer_s: 30", "infer_s: 30\nconnect_s: 2")
            )
        keys = test_openpi.KeyMap(
            images={"front": "image"},
            state={"state": test_openpi.SPEC.state_names},
            actions=("joint1", "joint2", "", "gripper"),
        )
        return test_openpi.OpenpiClient(self.proxy.uri, test_openpi.SPEC, keys, connect_s=2.0)

    def restart(self) -> None:
        """Another server at the address that the client knows."""
        self.proxy._target = ("127.0.0.1", self._serve())
        self.proxy.drop()

    def answers(self, letters: int) -> None:
        self.client._infer_s = 30.0
        assert letters_in(self.client.infer(request_for("x" * letters))) == letters

    def fails_in_time(self) -> None:
        self.client._infer_s = LIMIT_S
        began = time.monotonic()
        with pytest.raises(VlaError) as error:
            self.client.infer(request_for("lost"))
        assert time.monotonic() - began < LIMIT_S + SLACK_S
        assert len(str(error.value)) > 20

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(params=PEERS)
def peer(request, tmp_path) -> Iterator[Peer]:
    peer = Peer(request.param, tmp_path)
    try:
        peer.answers(7)
        yield peer
    finally:
        peer.close()


@pytest.mark.parametrize(
    "fault",
    [
        {"silent": True},
        {"delay_s": 2 * LIMIT_S},
        {"garbage_down": True},
        {"cut_down": 0},
        {"cut_down": 25},
        {"cut_up": 100},
    ],
    ids=str,
)
def test_a_fault_of_the_network_is_an_error_in_time_and_the_next_answer_is_its_own(peer, fault):
    for name, value in fault.items():
        setattr(peer.proxy, name, value)
    peer.fails_in_time()
    peer.proxy.calm()
    peer.proxy.drop()
    peer.answers(11)
    peer.answers(3)


def test_a_slow_network_is_slow_and_right(peer):
    peer.proxy.delay_s = 0.05
    began = time.monotonic()
    peer.answers(9)
    assert time.monotonic() - began > 0.1


def test_a_restarted_server_is_found_again(peer):
    peer.restart()
    said = []
    for _ in range(2):  # the first request may find the lost connection
        try:
            peer.answers(5)
            return
        except VlaError as error:
            said.append(str(error))
    pytest.fail(f"it was not found again: {said}")
