"""What a robot's broken network does to the server: its place is free again, the others go on."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))

from chaos import ChaosProxy
from serving import Serving, Small, request_with

from vla_ros.policy.remote import RemoteError, ServedPolicy
from vla_ros.policy.serve import server as serving_module


@pytest.mark.slow
def test_a_robot_behind_a_half_open_link_gives_its_place_back(monkeypatch):
    monkeypatch.setattr(serving_module, "ALIVE_S", 2.0)
    policy = Small()
    policy.stateful = True  # it serves one robot at a time
    with Serving(policy) as server:
        with ChaosProxy(("127.0.0.1", server.port)) as proxy:
            first = ServedPolicy(proxy.uri)
            with pytest.raises(RemoteError, match="expected at most 1"):
                ServedPolicy(server.uri)
            proxy.silent = True
            second = connected_within(server.uri, 60.0)
            np.testing.assert_array_equal(
                second.infer(request_with()), Small().infer(request_with())
            )
            second.close()
        first.close()


def test_noise_on_the_servers_port_disturbs_no_robot():
    with Serving(Small()) as server:
        client = ServedPolicy(server.uri)
        for noise in (os.urandom(5000), b"GET / HTTP/1.1\r\n\r\n", b"\x00", b""):
            with socket.create_connection(("127.0.0.1", server.port), 5.0) as stranger:
                stranger.sendall(noise)
        np.testing.assert_array_equal(client.infer(request_with()), Small().infer(request_with()))
        client.close()


def test_connecting_again_takes_no_longer_than_an_answer_may():
    with Serving(Small()) as server, ChaosProxy(("127.0.0.1", server.port)) as proxy:
        client = ServedPolicy(proxy.uri, connect_s=60.0, infer_s=0.5)
        proxy.silent = True
        began = time.monotonic()
        for text in ("did not answer within 0.5 s", "no policy server at|no metadata within 0.5 s"):
            with pytest.raises(RemoteError, match=text):
                client.infer(request_with())
        assert time.monotonic() - began < 10.0
        client.close()


def connected_within(uri: str, limit_s: float) -> ServedPolicy:
    deadline, pause = time.monotonic() + limit_s, threading.Event()
    while True:
        try:
            return ServedPolicy(uri)
        except RemoteError:
            assert time.monotonic() < deadline, "the place was never free again"
            pause.wait(0.05)
