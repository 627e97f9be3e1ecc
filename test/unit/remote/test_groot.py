"""The GR00T client against a server in another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("zmq", reason="pyzmq is not installed (requirements/remote.txt)")

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))
sys.path.insert(0, str(Path(__file__).parent))

from contract import PolicyContract
from test_openpi import request_for

from vla_ros.errors import VlaError
from vla_ros.policy.remote import RemoteError, load_served
from vla_ros.policy.remote.msgpack_numpy import WireError
from vla_ros.policy.remote.npy import packb, unpackb

FILE = """
protocol: groot
address: tcp://127.0.0.1:{port}
layout: {layout}
model_id: served
image_size: [4, 6]
state_names: [joint1, joint2, finger_joint]
action_names: [joint1, joint2, gripper]
horizon: 3
time_contract:
  image_latency_s: {{front: 0.03}}
  state_at: decision
  action_offset_s: 0.0
  dt_s: 0.05
  interpolation: hold
images: {{front: front}}
state: {{arm: [joint2, joint1], hand: [finger_joint]}}
actions: {{arm: [joint2, joint1], hand: [gripper]}}
infer_s: 20
"""


@contextmanager
def groot_server(layout: str = "nested", mode: str = "good") -> Iterator[int]:
    script = Path(__file__).parent / "groot_server.py"
    process = subprocess.Popen(
        [sys.executable, str(script), layout, mode], stdout=subprocess.PIPE, text=True
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def client_for(folder: Path, port: int, layout: str = "nested", *changes: tuple[str, str], **more):
    text = FILE.format(port=port, layout=layout)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "groot.yaml").write_text(text)
    return load_served(folder / "groot.yaml", **more)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with groot_server() as port:
        yield port


class TestGrootKeepsThePolicyContract(PolicyContract):
    @pytest.fixture
    def policy(self, port, tmp_path):
        client = client_for(tmp_path, port)
        yield client
        client.close()

    @pytest.fixture
    def request_(self):
        return request_for()


@pytest.mark.parametrize("layout", ["nested", "flat"])
def test_both_layouts_carry_parts_of_the_vectors_in_their_own_order(layout, tmp_path):
    with groot_server(layout) as port:
        client = client_for(tmp_path, port, layout)
        client.warm_up()
        chunk = client.infer(request_for("123"))
        client.close()
    np.testing.assert_allclose(chunk, [[0.1 + t, 0.2 + t, 3.0] for t in range(3)], rtol=1e-6)


def test_degrees_at_the_server_are_radians_here(port, tmp_path):
    degrees = ("infer_s: 20", "infer_s: 20\ndegrees: [joint1]")
    client = client_for(tmp_path, port, "nested", degrees)
    chunk = client.infer(request_for())
    client.close()
    np.testing.assert_allclose(chunk[:, 0], 0.1 + np.radians(range(3)), rtol=1e-6)
    np.testing.assert_allclose(chunk[:, 1], 0.2 + np.arange(3), rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("{front: front}", "{front: wrist}", r"video keys \['front'\], the file names \['wrist'\]"),
        ("state: {arm", "state: {leg", r"state keys \['arm', 'hand'\]"),
        ("actions: {arm", "actions: {leg", r"action keys \['arm', 'hand'\]"),
    ],
)
def test_keys_that_the_server_does_not_have_are_refused_before_the_first_chunk(
    port, tmp_path, old, new, text
):
    client = client_for(tmp_path, port, "nested", (old, new))
    with pytest.raises(RemoteError, match=text):
        client.warm_up()
    client.close()


def test_a_servers_failure_is_told_and_the_next_request_is_answered(port, tmp_path):
    client = client_for(tmp_path, port)
    request = request_for()
    observation = request.observation
    state = replace(observation, images={"front": np.zeros((8, 8, 3), np.uint8)})
    with pytest.raises(RemoteError, match="refused 'get_action': AssertionError"):
        client.infer(replace(request, observation=state))
    assert client.infer(request).shape == (3, 3)
    client.close()


def test_a_server_that_describes_itself_otherwise_is_refused_in_words(tmp_path):
    with groot_server(mode="strange") as port:
        client = client_for(tmp_path, port)
        with pytest.raises(RemoteError, match=r"does not say its video keys .*is this a GR00T"):
            client.warm_up()
        client.close()


def test_a_token_is_shown_where_it_is_asked_for(tmp_path):
    with groot_server(mode="token") as port:
        with pytest.raises(RemoteError, match="Unauthorized"):
            client_for(tmp_path, port).warm_up()
        client = client_for(tmp_path, port, api_key="secret")
        client.warm_up()
        client.close()


def test_a_late_answer_is_an_error_and_never_taken_for_the_next(tmp_path):
    with groot_server(mode="slow") as port:
        client = client_for(tmp_path, port, "nested", ("infer_s: 20", "infer_s: 0.2"))
        with pytest.raises(RemoteError, match=r"did not answer 'get_action' within 0\.2 s"):
            client.infer(request_for("1"))
        client._infer_s = 30.0
        assert client.infer(request_for("1234567"))[0, 2] == 7.0
        client.close()


def test_garbage_and_absence_are_errors_in_words(tmp_path):
    with groot_server(mode="garbage") as port:
        client = client_for(tmp_path, port)
        with pytest.raises(VlaError, match="no msgpack"):
            client.infer(request_for())
        client.close()
    client = client_for(tmp_path, port, "nested", ("infer_s: 20", "infer_s: 0.2"))
    with pytest.raises(RemoteError, match="is a GR00T server running there"):
        client.infer(request_for())
    client.close()


def test_an_array_that_would_run_code_is_refused():
    import io

    import msgpack

    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    data = msgpack.packb({"__ndarray_class__": True, "as_npy": file.getvalue()})
    with pytest.raises(WireError):
        unpackb(data)
    for value in (np.arange(6.0).reshape(2, 3), np.zeros((0, 4), np.uint8)):
        np.testing.assert_array_equal(unpackb(packb({"x": value}))["x"], value)
