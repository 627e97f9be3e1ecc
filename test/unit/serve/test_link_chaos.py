"""A bad network between two processes: an error in words within the time limit, or the truth.

The policy node ends a run whose inference raises, with that text; the robot brakes and holds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chaos import ChaosProxy
from serving import Small, request_with

from vla_ros.errors import VlaError
from vla_ros.policy.remote import RemoteError, ServedPolicy

pytestmark = pytest.mark.slow

LIMIT_S = 0.6
SLACK_S = 3.0
"""A loaded computer may take this long more; a hang takes for ever."""


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "serving.py")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        process.port = int(process.stdout.readline())
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def proxy(server) -> Iterator[ChaosProxy]:
    with ChaosProxy(("127.0.0.1", server.port)) as proxy:
        yield proxy


@pytest.fixture
def client(proxy) -> Iterator[ServedPolicy]:
    client = ServedPolicy(proxy.uri, connect_s=30.0, infer_s=30.0)
    client.warm_up()
    client._infer_s = LIMIT_S
    yield client
    client.close()


def fails_in_time(client: ServedPolicy, text: str) -> None:
    began = time.monotonic()
    with pytest.raises(VlaError, match=text):
        client.infer(request_with(prompt="lost"))
    assert time.monotonic() - began < LIMIT_S + SLACK_S


def works_again(client: ServedPolicy) -> None:
    client._infer_s = 30.0
    np.testing.assert_array_equal(client.infer(request_with()), Small().infer(request_with()))


def seen_by_policy(server: subprocess.Popen, until: str) -> list[str]:
    """Prompts that the server's policy got since it was last asked here, in its own process.

    A client without a proxy asks for ``until``, which ends the list.
    """
    direct = ServedPolicy(f"ws://127.0.0.1:{server.port}", connect_s=30.0, infer_s=30.0)
    direct.infer(request_with(prompt=until))
    direct.close()
    return list(iter(lambda: server.stdout.readline().rstrip("\n"), until))


def test_a_slow_link_is_slow_and_right(proxy, client):
    proxy.delay_s = 0.05
    client._infer_s = 30.0
    began = time.monotonic()
    np.testing.assert_array_equal(client.infer(request_with()), Small().infer(request_with()))
    assert time.monotonic() - began > 0.1


def test_an_answer_later_than_the_limit_is_an_error_and_never_taken_for_the_next(proxy, client):
    proxy.delay_s = 2 * LIMIT_S
    fails_in_time(client, "did not answer within 0.6 s|no policy server")
    proxy.calm()
    works_again(client)


def test_a_half_open_link_is_noticed_within_the_limit(proxy, client):
    proxy.silent = True
    fails_in_time(client, "did not answer within 0.6 s")
    fails_in_time(client, "no policy server|did not answer|no metadata")
    proxy.calm()
    proxy.drop()
    works_again(client)


def test_a_dropped_connection_is_made_anew_within_the_same_request(proxy, client):
    proxy.drop()
    works_again(client)
    assert client.status()["policy server connections"] == 2


def test_garbage_from_the_network_is_an_error(proxy, client):
    proxy.garbage_down = True
    fails_in_time(client, ".")
    proxy.calm()
    works_again(client)


@pytest.mark.parametrize("after", [0, 1, 7, 60])
def test_an_answer_cut_in_the_middle_is_asked_for_again_or_is_an_error(
    server, proxy, client, after
):
    seen_by_policy(server, "begin")
    proxy.cut_down = after
    fails_in_time(client, "closed the connection|no policy server|did not answer")
    assert set(seen_by_policy(server, "end")) == {"lost"}
    proxy.calm()
    works_again(client)


@pytest.mark.parametrize("after", [0, 1, 100, 200])
def test_a_request_cut_in_the_middle_never_reaches_the_policy_in_part(server, proxy, client, after):
    seen_by_policy(server, "begin")
    proxy.cut_up = after
    fails_in_time(client, "closed the connection|no policy server|did not answer")
    assert seen_by_policy(server, "after the cut") == []
    proxy.calm()
    works_again(client)
    assert seen_by_policy(server, "end") == ["go"]


def test_a_peer_that_reads_nothing_does_not_hold_the_sender(proxy, client):
    """More data than the buffers of the sockets hold, and nobody takes it."""
    began = time.monotonic()
    proxy.delay_s = 60.0
    with pytest.raises(RemoteError):
        client._link.ask({"prompt": "x" * 30_000_000}, LIMIT_S)
    assert time.monotonic() - began < LIMIT_S + SLACK_S
    proxy.calm()
    works_again(client)


def test_a_server_killed_and_started_again_is_found_again(tmp_path):
    def start(port: int = 0) -> tuple[subprocess.Popen, int]:
        script = Path(__file__).parent / "serving.py"
        process = subprocess.Popen(
            [sys.executable, str(script), str(port)], stdout=subprocess.PIPE, text=True
        )
        return process, int(process.stdout.readline())

    process, port = start()
    try:
        client = ServedPolicy(f"ws://127.0.0.1:{port}", infer_s=30.0)
        client.infer(request_with())
        process.kill()
        process.wait()
        with pytest.raises(RemoteError, match="no policy server at"):
            client.infer(request_with())
        process, _ = start(port)
        works_again(client)
        client.close()
    finally:
        process.kill()
        process.wait()
