"""`vla serve` as a process of its own: a real checkpoint, our client, openpi's client, TLS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))
sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

from serving import Serving, Small, request_with, serving
from test_policies_keep_the_contract import request_at
from tiny_demos import write_tiny_checkpoint

from vla_ros.policy.load import load_policy
from vla_ros.policy.remote import RemoteError, load_served

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    write_tiny_checkpoint(folder / "nano", folder / "data")
    return folder / "nano"


@pytest.fixture(scope="module")
def address(checkpoint) -> Iterator[str]:
    with serving("--policy", str(checkpoint), "--threads", "1") as address:
        yield address


@pytest.mark.slow
def test_a_served_checkpoint_gives_bit_for_bit_the_chunk_it_gives_here(checkpoint, address):
    here = load_policy(str(checkpoint), threads=1)
    there = load_policy(address)
    assert there.spec == here.spec
    request = request_at(0, here.spec)
    np.testing.assert_array_equal(there.infer(request), here.infer(request))
    there.close()


@pytest.mark.skipif(
    "OPENPI_CLIENT_PYTHON" not in os.environ,
    reason="OPENPI_CLIENT_PYTHON names no interpreter with openpi-client and typing_extensions",
)
def test_openpis_own_client_works_against_our_server(checkpoint, address, tmp_path):
    script = """
import sys, numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy
client = WebsocketClientPolicy(sys.argv[1])
about = client.get_server_metadata()["vla_ros"]
inputs = np.load(sys.argv[2])
observation = {
    "images": {key: inputs[key] for key in about["camera_keys"]},
    "state": inputs["state"],
    "prompt": "put the red cube in the blue bin",
    "seed": 4,
}
answer = client.infer(observation)
assert answer["server_timing"]["infer_ms"] > 0
try:
    client.infer({**observation, "state": np.zeros(3)})
except RuntimeError as error:
    assert "state" in str(error)
else:
    raise AssertionError("a wrong state was taken")
np.save(sys.argv[3], client.infer(observation)["actions"])
"""
    here = load_policy(str(checkpoint), threads=1)
    request = request_at(0, here.spec)
    images = dict(request.observation.images)
    np.savez(tmp_path / "inputs.npz", state=request.observation.state, **images)
    files = [str(tmp_path / "inputs.npz"), str(tmp_path / "actions.npy")]
    peer = os.environ["OPENPI_CLIENT_PYTHON"]
    subprocess.run([peer, "-c", script, address, *files], check=True, timeout=110)
    np.testing.assert_array_equal(np.load(files[1]), here.infer(request))


def test_tls_and_token_together_keep_strangers_out(tmp_path, monkeypatch):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=robot"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out"]
    subprocess.run([*command.split(), *names, str(certificate)], check=True, capture_output=True)
    file = tmp_path / "server.yaml"
    with Serving(Small(), token="secret", certificate=certificate, key=key) as server:
        address = f"wss://{server.address}"
        file.write_text(f"protocol: vla\nuri: {address}\nauthority: certificate.pem\n")
        with pytest.raises(RemoteError, match="token"):
            load_served(file)
        monkeypatch.setenv("VLA_SERVE_TOKEN", "secret")
        with pytest.raises(RemoteError, match="certificate"):
            load_policy(address)
        policy = load_served(file)
        assert policy.infer(request_with()).shape == (3, 2)
        policy.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--policy", "/nowhere"], "no such folder"),
        (["--policy", "x", "--certificate", "/nowhere.pem"], "certificate /nowhere.pem"),
        (["--policy", "x", "--token-file", "/nowhere"], "token file /nowhere"),
        (["--policy", "x", "--peer-python", "/nowhere/python"], "no such program"),
        (["--lerobot", "x"], "lerobot is not installed|torch is not installed"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_sentence(options, text, capsys):
    from vla_ros.policy.serve.__main__ import main

    assert main(["--port", "0", *options]) == 1
    error = capsys.readouterr().err
    assert re.search(text, error)
    assert "Traceback" not in error


def test_a_taken_port_is_said_in_words(checkpoint, address, capsys):
    from vla_ros.policy.serve.__main__ import main

    port = address.rpartition(":")[2]
    assert main(["--policy", str(checkpoint), "--port", port]) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
