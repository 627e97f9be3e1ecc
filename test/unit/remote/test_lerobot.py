"""The client of LeRobot's asynchronous inference against a server in another process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("grpc", reason="grpcio is not installed (requirements/remote.txt)")

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))
sys.path.insert(0, str(Path(__file__).parent))

from contract import PolicyContract
from test_openpi import request_for

from vla_ros.policy.remote import RemoteError, load_served
from vla_ros.policy.remote.msgpack_numpy import WireError
from vla_ros.policy.remote.pickles import dumps, loads

FILE = """
protocol: lerobot
address: 127.0.0.1:{port}
allow_pickle: true
policy_type: act
path: /models/act
device: cpu
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
images: {{front: top}}
state: [joint2, joint1, finger_joint]
actions: [joint2, joint1, gripper]
infer_s: 30
"""


@contextmanager
def lerobot_server(*arguments: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "lerobot_server.py"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def client_for(folder: Path, port: int, *changes: tuple[str, str]):
    text = FILE.format(port=port)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "lerobot.yaml").write_text(text)
    return load_served(folder / "lerobot.yaml")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with lerobot_server("good") as port:
        yield port


class TestLerobotKeepsThePolicyContract(PolicyContract):
    @pytest.fixture
    def policy(self, port, tmp_path):
        client = client_for(tmp_path, port)
        yield client
        client.close()

    @pytest.fixture
    def request_(self):
        return request_for()


def test_names_images_and_words_arrive_and_rows_come_back(port, tmp_path):
    client = client_for(tmp_path, port)
    client.warm_up()
    request = request_for("12345")
    chunk = client.infer(request)
    client.close()
    mean = request.observation.images["front"].mean()
    np.testing.assert_allclose(chunk, [[mean, 0.2 + t, 5.0] for t in range(3)], rtol=1e-6)


def test_an_observation_larger_than_one_message_is_sent_in_pieces(port, tmp_path):
    client = client_for(tmp_path, port, ("[4, 6]", "[1200, 1600]"))
    image = np.full((1200, 1600, 3), 7, np.uint8)
    request = request_for()
    observation = replace(request.observation, images={"front": image})
    chunk = client.infer(replace(request, observation=observation))
    client.close()
    np.testing.assert_allclose(chunk[:, 0], 7.0)


@pytest.mark.parametrize(
    ("mode", "error", "text"),
    [
        ("failing", RemoteError, "no actions: its policy failed"),
        ("stale", RemoteError, "does another robot use this server"),
        ("garbage", WireError, "no action chunk of LeRobot"),
        ("evil", WireError, "names posix.system, which no action chunk needs"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_runs_nothing(tmp_path, mode, error, text):
    touched = tmp_path / "touched"
    with lerobot_server(mode, str(touched)) as port:
        client = client_for(tmp_path, port)
        with pytest.raises(error, match=text):
            client.infer(request_for())
        client.close()
    assert not touched.exists()


def test_a_restarted_server_may_take_longer_to_load_than_to_answer(tmp_path):
    with lerobot_server("slow to load") as port:
        client = client_for(tmp_path, port, ("infer_s: 30", "infer_s: 0.9"))
        assert client.infer(request_for()).shape == (3, 3)
        client.close()


def test_no_server_is_said_in_words(tmp_path):
    client = client_for(tmp_path, 9, ("infer_s: 30", "infer_s: 30\nconnect_s: 0.5"))
    with pytest.raises(RemoteError, match=r"LeRobot's server at 127\.0\.0\.1:9 failed in Ready"):
        client.infer(request_for())


@pytest.mark.parametrize("line", ["allow_pickle: true", "allow_pickle: false"])
def test_pickles_must_be_allowed_by_name(tmp_path, line):
    change = ("allow_pickle: true", "" if line.endswith("true") else line)
    with pytest.raises(RemoteError, match="allow_pickle"):
        client_for(tmp_path, 1, change)


def test_what_is_written_is_what_python_reads():
    value = {
        "a": [1, -(2**40), 2.5, True, None],
        "b": ("text é", b"\x00\xff"),
        "c": np.arange(6, dtype=np.float32).reshape(2, 3),
    }
    back = pickle.loads(dumps(value))
    np.testing.assert_array_equal(back.pop("c"), value.pop("c"))
    assert back == value


@pytest.mark.parametrize("data", [b"", b"junk", pickle.dumps(print), pickle.dumps(Path("x"))])
def test_other_pickles_are_refused(data):
    with pytest.raises(WireError):
        loads(data)


def test_a_tensor_that_reaches_outside_its_storage_is_refused():
    import torch

    from vla_ros.policy.remote.pickles import _tensor

    whole = torch.arange(6.0)
    np.testing.assert_array_equal(loads(pickle.dumps(whole[1::2])), whole[1::2].numpy())
    for offset, size, stride in ((4, (3,), (1,)), (0, (2, 4), (4, 1)), (-1, (1,), (1,))):
        with pytest.raises(WireError, match="does not lie within"):
            _tensor(np.arange(6.0), offset, size, stride)
