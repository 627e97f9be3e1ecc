"""What robots can rely on: the same answers as without a network, and no harm from each other."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))
sys.path.insert(0, str(Path(__file__).parents[1] / "remote"))
sys.path.insert(0, str(Path(__file__).parent))

from contract import PolicyContract
from openpi_server import from_wire, to_wire
from serving import SPEC, Batching, Serving, Small, raw_message, request_with

from vla_ros.policy.protocol import Guidance
from vla_ros.policy.remote import RemoteError, ServedPolicy
from vla_ros.policy.remote.schema import SchemaError

GUIDANCE = {
    "actions": np.arange(6.0).reshape(3, 2),
    "weights": np.array([1.0, 0.5, 0.0]),
    "max_weight": 4.0,
    "jacobian": "full",
}


def get(uri: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(uri)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class TestAServedPolicyKeepsThePolicyContract(PolicyContract):
    @pytest.fixture
    def policy(self):
        with Serving(Small()) as server:
            client = ServedPolicy(server.uri)
            yield client
            client.close()

    @pytest.fixture
    def request_(self):
        return request_with()


def test_the_address_is_enough_the_server_describes_its_policy():
    with Serving(Small()) as server:
        client = ServedPolicy(server.uri)
        assert client.spec == SPEC
        client.close()


def test_an_answer_over_the_network_is_bit_equal_to_one_without():
    with Serving(Small()) as server:
        client = ServedPolicy(server.uri)
        np.testing.assert_array_equal(client.infer(request_with()), Small().infer(request_with()))
        client.close()


def test_images_as_jpeg_are_close_and_raw_ones_exact():
    policy = Small()
    smooth = np.linspace(40, 200, 4 * 6 * 3).astype(np.uint8).reshape(4, 6, 3)
    request = request_with()
    images = dict.fromkeys(SPEC.camera_keys, smooth)
    request = replace(request, observation=replace(request.observation, images=images))
    with Serving(policy) as server:
        for quality in (None, 95):
            client = ServedPolicy(server.uri, jpeg_quality=quality)
            client.infer(request)
            client.close()
    raw, lossy = (seen.observation.images["front"].astype(int) for seen in policy.seen)
    np.testing.assert_array_equal(raw, smooth)
    assert 0 < np.abs(lossy - smooth).max() < 12


def test_robots_that_ask_together_share_a_batch_and_get_what_they_would_get_alone():
    policy = Batching()
    requests = [request_with((k / 8, -k / 4), prompt="go" * (k + 1), seed=k) for k in range(5)]
    with Serving(policy, max_wait_s=1.0) as server, ThreadPoolExecutor(5) as pool:
        clients = [ServedPolicy(server.uri) for _ in requests]
        answers = [
            pool.submit(client.infer, request)
            for client, request in zip(clients, requests, strict=True)
        ]
        got = [answer.result(30.0) for answer in answers]
        for client in clients:
            client.close()
    assert max(policy.batches) > 1
    assert max(policy.batches) <= policy.max_batch
    for answer, request in zip(got, requests, strict=True):
        np.testing.assert_array_equal(answer, Small().infer(request))


def test_a_robot_alone_does_not_wait_for_others():
    with Serving(Batching(), max_wait_s=60.0) as server:
        client = ServedPolicy(server.uri, infer_s=20.0)
        client.infer(request_with())
        client.close()


def test_in_a_batch_only_the_bad_request_fails():
    policy = Batching()
    prompts = ["go", "unknown", "go on"]
    with Serving(policy, max_wait_s=1.0) as server, ThreadPoolExecutor(3) as pool:
        clients = [ServedPolicy(server.uri) for _ in prompts]
        answers = [
            pool.submit(client.infer, request_with(prompt=prompt))
            for client, prompt in zip(clients, prompts, strict=True)
        ]
        assert answers[0].result(30.0).shape == (3, 2)
        assert answers[2].result(30.0).shape == (3, 2)
        with pytest.raises(RemoteError, match="unknown word"):
            answers[1].result(30.0)
        assert clients[1].infer(request_with()).shape == (3, 2)
        for client in clients:
            client.close()
    assert 3 in policy.batches


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"state": np.zeros(3)},
            r"state: got float64 \(3,\), expected .* of shape \(2,\)",
        ),
        ({"state": np.array([0.0, np.nan])}, "joint2 is not finite"),
        ({"state": [0.0, 0.0]}, "state: got list"),
        ({"images": {"front": np.zeros((4, 6, 3), np.uint8)}}, r"expected the cameras"),
        ({"images": {k: np.zeros((8, 8, 3), np.uint8) for k in SPEC.camera_keys}}, r"\(8, 8, 3\)"),
        ({"images": {k: np.zeros((4, 6, 3)) for k in SPEC.camera_keys}}, "float64"),
        ({"prompt": " "}, "prompt"),
        ({"seed": -1}, "seed"),
        ({"seed": "5"}, "seed"),
        ({"sead": 5}, "unknown keys sead"),
        ({"guidance": {"actions": np.zeros((2, 2)), "weights": np.zeros(3)}}, "guidance"),
        ({"guidance": {**GUIDANCE, "weights": np.array([1.0, np.inf, 0.0])}}, "not finite"),
        ({"guidance": {**GUIDANCE, "jacobian": "half"}}, "half"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_in_words_and_the_next_is_answered(changes, text):
    policy = Small()
    with Serving(policy) as server, connect(server.uri, compression=None) as link:
        link.recv()
        link.send(msgpack.packb(raw_message(**changes), default=to_wire))
        assert re.search(text, link.recv())
        link.send(msgpack.packb(raw_message(), default=to_wire))
        assert "actions" in msgpack.unpackb(link.recv(), object_hook=from_wire)
    assert len(policy.seen) == 1


@pytest.mark.parametrize("junk", [b"\xc1garbage", b"", msgpack.packb([1, 2]), "text"])
def test_garbage_is_refused_and_the_connection_lives(junk):
    with Serving(Small()) as server, connect(server.uri, compression=None) as link:
        link.recv()
        link.send(junk)
        assert isinstance(link.recv(), str)
        link.send(msgpack.packb(raw_message(), default=to_wire))
        assert "actions" in msgpack.unpackb(link.recv(), object_hook=from_wire)


def test_a_bug_in_the_policy_is_told_to_that_robot_only():
    with Serving(Small()) as server:
        one, other = ServedPolicy(server.uri), ServedPolicy(server.uri)
        with pytest.raises(RemoteError, match="ZeroDivisionError"):
            one.infer(request_with(prompt="bug"))
        assert other.infer(request_with()).shape == (3, 2)
        assert one.infer(request_with()).shape == (3, 2)
        one.close()
        other.close()


def test_guidance_for_real_time_chunking_reaches_the_policy():
    policy = Small()
    with Serving(policy) as server:
        client = ServedPolicy(server.uri)
        client.infer(replace(request_with(), guidance=Guidance(**GUIDANCE)))
        client.close()
    seen = policy.seen[0].guidance
    np.testing.assert_array_equal(seen.actions, GUIDANCE["actions"])
    np.testing.assert_array_equal(seen.weights, GUIDANCE["weights"])
    assert (seen.max_weight, seen.jacobian) == (4.0, "full")


def test_images_with_the_channels_first_are_understood():
    policy = Small()
    request = request_with()
    flipped = {key: np.moveaxis(i, -1, 0).copy() for key, i in request.observation.images.items()}
    with Serving(policy) as server, connect(server.uri, compression=None) as link:
        link.recv()
        link.send(msgpack.packb(raw_message(images=flipped), default=to_wire))
        link.recv()
    for key, image in request.observation.images.items():
        np.testing.assert_array_equal(policy.seen[0].observation.images[key], image)


def test_a_seed_given_with_the_reset_repeats_the_connections_answers():
    with Serving(Small()) as server:
        runs = []
        for _ in range(2):
            with connect(server.uri, compression=None) as link:
                link.recv()
                link.send(msgpack.packb({"reset": True, "seed": 3}))
                link.recv()
                run = []
                for _ in range(2):
                    link.send(msgpack.packb(raw_message(), default=to_wire))
                    run.append(msgpack.unpackb(link.recv(), object_hook=from_wire)["actions"])
                runs.append(run)
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[0][1])


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


def test_the_clocks_of_one_computer_agree_within_half_a_round_trip():
    with Serving(Small()) as server:
        client = ServedPolicy(server.uri)
        client.warm_up()
        status = client.status()
        client.close()
    trip_s = status["policy server round trip [s]"]
    assert 0.0 < trip_s < 5.0
    assert abs(status["policy server clock offset [s]"]) <= trip_s / 2 + 1e-6


def test_a_server_that_serves_another_policy_after_a_restart_is_refused():
    with Serving(Small()) as server:
        client = ServedPolicy(server.uri)
        client.infer(request_with())
        port = server.port
    other = Small(replace(SPEC, model_id="weights-2"))
    with Serving(other) as changed:
        client._link.uri = changed.uri  # as if it had the same port
        assert port
        for _ in range(2):
            with pytest.raises(RemoteError, match="now serves small weights-2"):
                client.infer(request_with())
        client.close()


def test_a_server_of_another_version_and_one_that_is_not_ours_are_refused():
    from openpi_server import OpenpiServer

    for metadata, text in (
        ({"vla_ros": {"schema": 1}}, "speaks schema 1, expected 2"),
        ({"config": "pi05_droid"}, "does not describe its policy"),
        ({"vla_ros": {"schema": 2, "name": "x"}}, "'image_size' is missing"),
    ):
        server = OpenpiServer(lambda _: {}, metadata=metadata)
        with server, pytest.raises(SchemaError, match=text):
            ServedPolicy(server.uri)


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
