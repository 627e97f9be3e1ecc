"""The client against a server of ours, and its bytes against openpi's own client package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))
sys.path.insert(0, str(Path(__file__).parent))

from contract import PolicyContract
from openpi_server import OpenpiServer

from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.policy.remote import KeyMap, OpenpiClient, RemoteError, load_served
from vla_ros.policy.remote.mapping import MappingError
from vla_ros.policy.remote.msgpack_numpy import WireError, packb, unpackb
from vla_ros.spaces import Observation, TimeContract

JOINTS = ("joint1", "joint2")
SPEC = PolicySpec(
    name="openpi",
    model_id="served",
    camera_keys=("front",),
    image_size=(4, 6),
    state_names=(*JOINTS, "finger_joint"),
    action_names=(*JOINTS, "gripper"),
    horizon=5,
    contract=TimeContract(
        image_latency_ns={"front": 30_000_000},
        state_at="decision",
        action_offset_ns=0,
        dt_ns=50_000_000,
        interpolation="hold",
    ),
)
KEYS = KeyMap(
    images={"front": "observation/image"},
    state={"observation/joints": JOINTS, "observation/gripper": ("finger_joint",)},
    actions=("joint2", "joint1", "", "gripper"),
    flipped=("gripper",),
)


def request_for(prompt: str = "put it there") -> PolicyRequest:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    return PolicyRequest(
        observation=Observation(
            seq=1,
            t_obs_ns=0,
            start_ns=0,
            images={"front": image},
            image_stamps_ns={"front": 0},
            state=np.array([0.1, 0.2, 0.03]),
            state_stamp_ns=0,
            streams=(),
        ),
        prompt=prompt,
        seed=1,
    )


def actions(_observation: dict, rows: int = 6, columns: int = 4) -> dict:
    return {"actions": np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)}


class TestOpenpiKeepsThePolicyContract(PolicyContract):
    @pytest.fixture
    def policy(self):
        with OpenpiServer(actions) as server:
            client = OpenpiClient(server.uri, SPEC, KEYS)
            yield client
            client.close()

    @pytest.fixture
    def request_(self):
        return request_for()


def test_the_server_gets_its_own_keys_and_we_get_our_own_columns():
    with OpenpiServer(actions) as server:
        client = OpenpiClient(server.uri, SPEC, KEYS, api_key="secret")
        chunk = client.infer(request_for())
        client.close()
        seen = server.requests[0]
        assert set(seen) == {
            "observation/image",
            "observation/joints",
            "observation/gripper",
            "prompt",
        }
        assert seen["observation/image"].dtype == np.uint8
        assert seen["observation/image"].shape == (4, 6, 3)
        np.testing.assert_allclose(seen["observation/joints"], [0.1, 0.2], rtol=1e-6)
        assert seen["prompt"] == "put it there"
        assert server.headers[0]["Authorization"] == "Api-Key secret"
        assert client.metadata == {"config": "test"}
    np.testing.assert_array_equal(chunk[:2], [[1.0, 0.0, 1.0 - 3.0], [5.0, 4.0, 1.0 - 7.0]])


def test_dots_nest_and_channels_can_come_first():
    keys = KeyMap(
        images={"front": "images.cam_high"},
        state={"state": SPEC.state_names},
        actions=SPEC.action_names,
        channels_first=True,
    )
    seen = keys.encode(request_for(), SPEC)
    assert seen["images"]["cam_high"].shape == (3, 4, 6)
    assert seen["state"].shape == (3,)


def test_a_lost_connection_is_made_anew():
    with OpenpiServer(actions) as server:
        client = OpenpiClient(server.uri, SPEC, KEYS)
        client.infer(request_for())
        server.drop()
        assert client.infer(request_for()).shape == (5, 3)
        assert server.connections == 2
        client.close()


def test_no_server_is_said_in_words():
    client = OpenpiClient("ws://127.0.0.1:9", SPEC, KEYS, connect_s=1.0)
    with pytest.raises(RemoteError, match=r"no policy server at ws://127\.0\.0\.1:9"):
        client.infer(request_for())


def test_a_late_answer_is_never_taken_for_the_next_one():
    def numbered(observation):
        value = float(observation["prompt"])
        return {"actions": np.full((5, 4), value, dtype=np.float32)}

    with OpenpiServer(numbered, delay_s=0.5) as server:
        client = OpenpiClient(server.uri, SPEC, KEYS, infer_s=0.15)
        with pytest.raises(RemoteError, match="did not answer within"):
            client.infer(request_for("1"))
        server.delay_s = 0.0
        client._infer_s = 60.0
        assert client.infer(request_for("2"))[0, 0] == 2.0
        client.close()


def test_a_servers_traceback_becomes_one_sentence():
    with OpenpiServer(lambda _: "Traceback ...\n  File x\nKeyError: 'state'\n") as server:
        client = OpenpiClient(server.uri, SPEC, KEYS)
        with pytest.raises(RemoteError, match="refused: KeyError: 'state'"):
            client.infer(request_for())
        client.close()


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ({"actions": np.zeros((6, 3), np.float32)}, MappingError, r"shape \(6, 3\)"),
        ({"actions": np.zeros((2, 4), np.float32)}, MappingError, "2 rows"),
        ({"action": np.zeros((6, 4), np.float32)}, RemoteError, "without an array 'actions'"),
        ({"actions": 3}, RemoteError, "without an array 'actions'"),
        (b"\xc1\xc1", WireError, "no msgpack"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_in_words(answer, error, text):
    with OpenpiServer(lambda _: answer) as server:
        client = OpenpiClient(server.uri, SPEC, KEYS)
        with pytest.raises(error, match=text):
            client.infer(request_for())
        client.close()


def test_a_server_that_does_not_greet_with_metadata_is_refused():
    with OpenpiServer(actions, metadata="hello") as server:
        client = OpenpiClient(server.uri, SPEC, KEYS)
        with pytest.raises(RemoteError, match="expected a map of metadata"):
            client.infer(request_for())


def test_keys_that_do_not_fit_the_robot_are_all_listed():
    wrong = KeyMap(images={"top": "image"}, state={"state": ("elbow",)}, actions=("joint1",))
    with pytest.raises(MappingError) as info:
        OpenpiClient("ws://x", SPEC, wrong)
    for word in ("'top'", "'front'", "'elbow'", "'joint2'", "'gripper'"):
        assert word in str(info.value)


SERVED = """
uri: ws://127.0.0.1:{port}
model_id: served
image_size: [4, 6]
state_names: [joint1, joint2, finger_joint]
action_names: [joint1, joint2, gripper]
horizon: 5
time_contract:
  image_latency_s: {{front: 0.03}}
  state_at: decision
  action_offset_s: 0.0
  dt_s: 0.05
  interpolation: hold
images: {{front: observation/image}}
state: {{observation/joints: [joint1, joint2]}}
actions: [joint2, joint1, "", gripper]
"""


def test_a_file_describes_a_served_policy(tmp_path):
    path = tmp_path / "served.yaml"
    with OpenpiServer(actions) as server:
        path.write_text(SERVED.format(port=server.port))
        client = load_served(path)
        assert client.spec.contract.dt_ns == 50_000_000
        assert client.infer(request_for()).shape == (5, 3)
        client.close()


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("model_id", "modelid", "modelid"),
        ("ws://", "http://", "uri"),
        ("dt_s: 0.05", "dt_s: -1", "dt is"),
        ("horizon: 5", "horizon: 0", "horizon"),
        ("{front: obs", "{top: obs", "image_latency_s|camera"),
    ],
)
def test_a_policy_file_with_a_mistake_is_refused(tmp_path, old, new, text):
    path = tmp_path / "served.yaml"
    path.write_text(SERVED.format(port=1).replace(old, new))
    with pytest.raises(RemoteError, match=text):
        load_served(path)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.array(3.5),
        np.zeros((0, 4), np.float32),
        np.float32(1.5),
        np.array([True, False]),
        np.arange(3, dtype=">i4"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    ],
)
def test_arrays_survive_the_wire(value):
    back = unpackb(packb({"x": value}))["x"]
    assert back.dtype == value.dtype
    np.testing.assert_array_equal(back, value)


@pytest.mark.parametrize("value", [np.array([object()]), np.array(["a"]), {1, 2}, 1j])
def test_what_is_not_numeric_is_not_sent(value):
    with pytest.raises(WireError):
        packb({"x": value})


@pytest.mark.parametrize(
    "array",
    [
        {b"data": b"\x00" * 8, b"dtype": "<f8", b"shape": [2]},
        {b"data": b"\x00" * 8, b"dtype": "|O", b"shape": [1]},
        {b"data": b"\x00" * 8, b"dtype": "nonsense", b"shape": [1]},
        {b"data": b"", b"dtype": "<f8", b"shape": [-1, 0]},
        {b"dtype": "<f8", b"shape": [1]},
    ],
)
def test_an_array_that_lies_about_itself_is_refused(array):
    import msgpack

    with pytest.raises(WireError):
        unpackb(msgpack.packb({b"__ndarray__": True, **array}))


NEEDS_PEER = pytest.mark.skipif(
    "OPENPI_CLIENT_PYTHON" not in os.environ,
    reason="OPENPI_CLIENT_PYTHON names no interpreter with openpi-client and typing_extensions",
)


@NEEDS_PEER
def test_openpis_own_client_understands_the_server_of_these_tests():
    """So the server that our client is tested against follows the published protocol."""
    script = """
import sys, numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy
client = WebsocketClientPolicy(sys.argv[1])
assert client.get_server_metadata() == {"config": "test"}
answer = client.infer({"observation/joints": np.zeros(2, np.float32), "prompt": "go"})
np.testing.assert_array_equal(answer["actions"], np.arange(24, dtype=np.float32).reshape(6, 4))
"""
    with OpenpiServer(actions) as server:
        subprocess.run(
            [os.environ["OPENPI_CLIENT_PYTHON"], "-c", script, server.uri], check=True, timeout=110
        )
        assert server.requests[0]["prompt"] == "go"


@NEEDS_PEER
def test_openpis_own_client_package_reads_our_bytes_and_writes_ours(tmp_path):
    """Both ways through the public package: it decodes our request, we decode its answer."""
    ours = packb(KEYS.encode(request_for(), SPEC))
    (tmp_path / "request").write_bytes(ours)
    script = """
import sys, pathlib, numpy as np
from openpi_client import msgpack_numpy
here = pathlib.Path(sys.argv[1])
seen = msgpack_numpy.unpackb((here / "request").read_bytes())
assert seen["observation/image"].dtype == np.uint8, seen
assert seen["observation/image"].shape == (4, 6, 3)
assert int(seen["observation/image"].sum()) == sum(range(72))
assert seen["observation/joints"].dtype == np.float32
np.testing.assert_allclose(seen["observation/joints"], [0.1, 0.2], rtol=1e-6)
assert seen["prompt"] == "put it there"
answer = {"actions": np.arange(24, dtype=np.float32).reshape(6, 4),
          "server_timing": {"infer_ms": np.float64(1.5)}}
(here / "answer").write_bytes(msgpack_numpy.packb(answer))
(here / "same").write_bytes(msgpack_numpy.packb(seen))
"""
    peer = os.environ["OPENPI_CLIENT_PYTHON"]
    subprocess.run([peer, "-c", script, str(tmp_path)], check=True, timeout=110)
    answer = unpackb((tmp_path / "answer").read_bytes())
    np.testing.assert_array_equal(answer["actions"], actions({})["actions"])
    assert answer["server_timing"]["infer_ms"] == 1.5
    assert (tmp_path / "same").read_bytes() == ours
