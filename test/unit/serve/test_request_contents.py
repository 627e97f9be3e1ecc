"""What a request may hold: keys of its own, observations before, an instant, guidance; no junk."""

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

from openpi_server import from_wire, to_wire
from serving import SPEC, Serving, Small, raw_message, request_with

from vla_ros.policy.protocol import Guidance
from vla_ros.policy.remote import ServedPolicy
from vla_ros.policy.remote.load import load_keys
from vla_ros.policy.remote.mapping import MappingError
from vla_ros.policy.remote.openpi import OpenpiClient
from vla_ros.policy.serve import PolicyServer, ServeConfig

GUIDANCE = {
    "actions": np.arange(6.0).reshape(3, 2),
    "weights": np.array([1.0, 0.5, 0.0]),
    "max_weight": 4.0,
    "jacobian": "full",
}
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
