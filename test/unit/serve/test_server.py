"""The same answers as without a network, alone, in batches and beside failing robots."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import pytest
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))
sys.path.insert(0, str(Path(__file__).parents[1] / "remote"))
sys.path.insert(0, str(Path(__file__).parent))

from contract import PolicyContract
from openpi_server import from_wire, to_wire
from serving import SPEC, Batching, Serving, Small, raw_message, request_with

from vla_ros.policy.remote import RemoteError, ServedPolicy
from vla_ros.policy.remote.schema import SchemaError


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


def test_a_bug_in_the_policy_is_told_to_that_robot_only():
    with Serving(Small()) as server:
        one, other = ServedPolicy(server.uri), ServedPolicy(server.uri)
        with pytest.raises(RemoteError, match="ZeroDivisionError"):
            one.infer(request_with(prompt="bug"))
        assert other.infer(request_with()).shape == (3, 2)
        assert one.infer(request_with()).shape == (3, 2)
        one.close()
        other.close()


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
