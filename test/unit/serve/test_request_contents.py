"""What a request may hold: keys of the client's own, observations before, an instant."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import pytest
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parents[1] / "remote"))
sys.path.insert(0, str(Path(__file__).parent))

from openpi_server import to_wire
from serving import SPEC, Serving, Small, raw_message, request_with

from vla_ros.policy.remote import ServedPolicy
from vla_ros.policy.remote.load import load_keys
from vla_ros.policy.remote.mapping import MappingError
from vla_ros.policy.remote.openpi import OpenpiClient
from vla_ros.policy.serve import PolicyServer, ServeConfig

KEYS = """
images: {front: observation/image, wrist: images.cam_wrist}
state: {observation/gripper: [joint2], observation/joints: [joint1]}
actions: [joint2, "", joint1]
flipped: [joint2]
degrees: [joint1]
prompt: task
"""


@pytest.mark.parametrize("known", [0, 1, 3])
def test_a_policy_that_looks_at_several_observations_gets_those_it_looks_at(known):
    policy = Small(replace(SPEC, n_obs_steps=3, ensemble_m=0.25))
    history = tuple(request_with((k, -k)).observation for k in range(known))
    with Serving(policy) as server:
        client = ServedPolicy(server.uri)
        assert client.spec.n_obs_steps == 3
        assert client.spec.ensemble_m == 0.25
        client.infer(replace(request_with(), history=history))
        client.close()
    seen = policy.seen[-1].history
    assert [tuple(before.state) for before in seen] == [(k, -k) for k in range(known)][-2:]
    for before in seen:
        np.testing.assert_array_equal(before.images["front"], history[0].images["front"])


@pytest.mark.parametrize("history", [[{}], [raw_message(), raw_message()], "front", [3]])
def test_a_history_that_does_not_fit_is_refused(history):
    with Serving(Small(replace(SPEC, n_obs_steps=2))) as server, connect(server.uri) as peer:
        peer.recv()
        peer.send(msgpack.packb(raw_message(history=history), default=to_wire))
        assert re.search("history|images", peer.recv())


def test_the_observation_s_instant_goes_along_and_a_client_without_one_gets_the_server_s_clock():
    policy = Small()
    request = request_with()
    request = replace(request, observation=replace(request.observation, t_obs_ns=123_456_789))
    with Serving(policy) as server:
        client = ServedPolicy(server.uri)
        client.infer(request)
        client.close()
        assert policy.seen[-1].observation.t_obs_ns == 123_456_789
        with connect(server.uri) as peer:
            peer.recv()
            for _ in range(2):
                peer.send(msgpack.packb(raw_message(), default=to_wire))
                peer.recv()
    first, second = (seen.observation.t_obs_ns for seen in policy.seen[-2:])
    assert 0 < first < second


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text(KEYS)
    return path


def test_a_client_with_keys_of_its_own_gets_the_policys_chunk_in_its_own_columns(keys):
    class Seeded(Small):
        def infer(self, request):
            return super().infer(replace(request, seed=3))

    policy = Seeded()
    with Serving(policy, keys=keys) as server:
        client = OpenpiClient(server.uri, SPEC, load_keys(keys, SPEC))
        ours = ServedPolicy(server.uri)
        request = request_with()
        chunk = client.infer(request)
        seen = policy.seen[-1]
        np.testing.assert_allclose(seen.observation.state, request.observation.state, atol=1e-7)
        np.testing.assert_array_equal(
            seen.observation.images["wrist"], request.observation.images["wrist"]
        )
        assert seen.prompt == "go"
        np.testing.assert_allclose(chunk, Small().infer(seen), atol=1e-9)
        np.testing.assert_array_equal(ours.infer(request), Seeded().infer(request))
        client.close()
        ours.close()


def test_a_request_without_a_mapped_key_is_refused_by_that_key(keys):
    with Serving(Small(), keys=keys) as server, connect(server.uri) as peer:
        peer.recv()
        peer.send(msgpack.packb({"task": "go", "images": {}}, default=to_wire))
        assert "the request lacks 'observation/image'" in peer.recv()


def test_keys_of_another_policy_are_refused_before_anybody_connects(keys):
    keys.write_text(KEYS.replace("joint1", "elbow"))
    with pytest.raises(MappingError, match="'elbow'"):
        PolicyServer(Small(), ServeConfig(keys=keys))
