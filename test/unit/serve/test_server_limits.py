"""No harm from other robots: how many, how long, who may; and what operators see of it."""

from __future__ import annotations

import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parents[1] / "remote"))
sys.path.insert(0, str(Path(__file__).parent))

from openpi_server import to_wire
from serving import Serving, Small, raw_message, request_with

from vla_ros.policy.remote import RemoteError, ServedPolicy


def get(uri: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(uri)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def answers(client: ServedPolicy) -> bool:
    """Whether it does within the server's limit; a loaded computer may need another try."""
    try:
        return client.infer(request_with()).shape == (3, 2)
    except RemoteError:
        return False


def wait_until(condition, limit_s: float = 60.0) -> None:
    pause = threading.Event()
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        pause.wait(0.02)


def test_a_policy_that_remembers_serves_one_robot_at_a_time():
    policy = Small()
    policy.stateful = True
    with Serving(policy) as server:
        first = ServedPolicy(server.uri)
        assert policy.resets == 1
        with pytest.raises(RemoteError, match="expected at most 1"):
            ServedPolicy(server.uri)
        first.reset()
        assert policy.resets == 2
        first.close()


def test_more_robots_than_allowed_are_turned_away_with_the_reason():
    with Serving(Small(), max_robots=1) as server:
        first = ServedPolicy(server.uri)
        with pytest.raises(RemoteError, match="1 robots are connected, expected at most 1"):
            ServedPolicy(server.uri)
        assert first.infer(request_with()).shape == (3, 2)
        first.close()


def test_a_request_past_its_time_limit_is_told_so_and_health_says_it_hangs():
    policy = Small()
    policy.go_on.clear()
    with Serving(policy, limit_s=0.2) as server:
        client = ServedPolicy(server.uri)
        with pytest.raises(RemoteError, match=r"no answer within 0\.2 s"):
            client.infer(request_with())
        wait_until(lambda: get(f"http://{server.address}/healthz")[0] == 503)
        policy.go_on.set()
        wait_until(lambda: get(f"http://{server.address}/healthz")[0] == 200)
        wait_until(lambda: answers(client))
        client.close()


def test_a_request_given_up_in_the_queue_is_never_worked_on():
    policy = Small()
    policy.go_on.clear()
    with Serving(policy, limit_s=0.3) as server, ThreadPoolExecutor(1) as pool:
        one, other = ServedPolicy(server.uri), ServedPolicy(server.uri)
        hanging = pool.submit(one.infer, request_with(prompt="first"))
        assert policy.began.wait(10.0)
        with pytest.raises(RemoteError, match="no answer"):
            other.infer(request_with(prompt="given up"))
        with pytest.raises(RemoteError, match="no answer"):
            hanging.result(10.0)
        policy.go_on.set()
        wait_until(lambda: answers(other))
        one.close()
        other.close()
    assert {seen.prompt for seen in policy.seen} == {"first", "go"}


def test_metrics_count_what_happened():
    with Serving(Small()) as server:
        client = ServedPolicy(server.uri)
        client.infer(request_with())
        for prompt in ("unknown", "bug"):
            with pytest.raises(RemoteError):
                client.infer(request_with(prompt=prompt))
        status, text = get(f"http://{server.address}/metrics")
        client.close()
    assert status == 200
    lines = text.splitlines()
    for line in (
        'vla_requests_total{outcome="ok"} 1',
        'vla_requests_total{outcome="refused"} 1',
        'vla_requests_total{outcome="failed"} 1',
        'vla_requests_total{outcome="late"} 0',
        "vla_robots 1",
        "vla_batched_requests_total 3",
        "vla_infer_seconds_count 3",
        'vla_wait_seconds_bucket{le="+Inf"} 1',
    ):
        assert line in lines


def test_without_the_token_nothing_but_health_is_shown():
    with Serving(Small(), token="secret") as server:
        for token in (None, "wrong"):
            with pytest.raises(RemoteError, match="wants another token"):
                ServedPolicy(server.uri, token=token)
            assert get(f"http://{server.address}/metrics", token)[0] == 401
        assert get(f"http://{server.address}/healthz") == (200, "OK\n")
        assert get(f"http://{server.address}/metrics", "secret")[0] == 200
        client = ServedPolicy(server.uri, token="secret")
        assert client.infer(request_with()).shape == (3, 2)
        client.close()
        with connect(server.uri, additional_headers={"Authorization": "Api-Key secret"}) as link:
            assert isinstance(link.recv(), bytes)


def test_a_robot_that_goes_away_in_mid_inference_harms_nobody():
    policy = Small()
    policy.go_on.clear()
    with Serving(policy) as server:
        link = connect(server.uri, compression=None)
        with link as robot:
            robot.recv()
            robot.send(msgpack.packb(raw_message(), default=to_wire))
            assert policy.began.wait(10.0)
            robot.socket.shutdown(socket.SHUT_RDWR)
            with pytest.raises(ConnectionClosed):
                robot.recv()
        policy.go_on.set()
        client = ServedPolicy(server.uri)
        assert client.infer(request_with()).shape == (3, 2)
        wait_until(lambda: "\nvla_robots 1\n" in get(f"http://{server.address}/metrics")[1])
        client.close()
