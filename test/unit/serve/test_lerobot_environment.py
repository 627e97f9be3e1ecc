"""Any LeRobot policy, in LeRobot's own environment, where its checkpoint is made, too.

ACT through our server and through LeRobot's own must give the same chunk. LeRobot's server carries
no seed, so Diffusion Policy through our server is compared with our own network of that family on
the same weights, which draws the same noise.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))
sys.path.insert(0, str(Path(__file__).parent))

from serving import serving
from test_policies_keep_the_contract import request_at

from vla_ros.policy.load import load_policy
from vla_ros.policy.remote import load_served

PEER = os.environ.get("LEROBOT_PYTHON", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PEER, reason="LEROBOT_PYTHON names no interpreter with lerobot 0.4"),
]

ABOUT = """
state_names: [joint1, joint2, finger_joint]
action_names: [joint1, gripper]
cameras: {front: top}
rate_hz: 20
options: {OPTIONS}
"""

SERVER = """
protocol: lerobot
address: 127.0.0.1:PORT
allow_pickle: true
policy_type: act
path: FOLDER
device: cpu
model_id: served
image_size: [64, 64]
state_names: [joint1, joint2, finger_joint]
action_names: [joint1, gripper]
degrees: [joint1]
horizon: 5
time_contract:
  image_latency_s: {front: 0.06}
  state_at: decision
  action_offset_s: 0.0
  dt_s: 0.05
  interpolation: hold
images: {front: top}
state: [joint1, joint2, finger_joint]
actions: [joint1, gripper]
infer_s: 120
connect_s: 120
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lerobot")
    script = Path(__file__).parent / "lerobot_checkpoint.py"
    for family, options in (("act", "degrees: [joint1]"), ("diffusion", "history: repeat")):
        subprocess.run([PEER, str(script), family, str(folder / family)], check=True, timeout=250)
        about = ABOUT.replace("OPTIONS", options)
        (folder / f"{family}.yaml").write_text(about)
    return folder


@contextmanager
def lerobots_own_server(folder: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [PEER, "-m", "lerobot.async_inference.policy_server", f"--port={port}"], cwd=folder
    )
    try:
        deadline, pause = time.monotonic() + 400.0, threading.Event()
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            pause.wait(0.5)
        yield port
    finally:
        process.kill()
        process.wait()


def test_our_server_and_lerobots_own_give_the_same_chunk(folder):
    about = ("--about", str(folder / "act.yaml"))
    with serving("--lerobot", str(folder / "act"), *about, "--peer-python", PEER) as address:
        ours = load_policy(address)
        assert ours.spec.name == "lerobot-act"
        assert ours.spec.contract.dt_ns == 50_000_000
        request = request_at(0, ours.spec)
        chunk = ours.infer(request)
        np.testing.assert_array_equal(chunk, ours.infer(request))
        ours.close()
    assert chunk.shape == (5, 2)
    with lerobots_own_server(folder) as port:
        file = folder / "server.yaml"
        text = SERVER.replace("PORT", str(port)).replace("FOLDER", str(folder / "act"))
        file.write_text(text)
        theirs = load_served(file)
        theirs.warm_up()
        other = theirs.infer(request)
        theirs.close()
    assert np.ptp(chunk) > 1e-3
    np.testing.assert_allclose(chunk, other, atol=1e-4)


def test_diffusion_policy_in_lerobots_code_and_in_ours_give_the_same_chunk(folder):
    about = ("--about", str(folder / "diffusion.yaml"))
    with serving("--lerobot", str(folder / "diffusion"), *about, "--peer-python", PEER) as address:
        served = load_policy(address)
        assert served.spec.name == "lerobot-diffusion"
        request = request_at(0, served.spec)
        theirs = served.infer(request)
        np.testing.assert_array_equal(theirs, served.infer(request))
        other = served.infer(replace(request, seed=request.seed + 1))
        served.close()
    (folder / "diffusion" / "vla.yaml").write_text(ABOUT.replace("OPTIONS", ""))
    policy = load_policy(str(folder / "diffusion"))
    assert policy.spec.name == "diffusion"
    ours = policy.infer(request)
    assert ours.shape == (5, 2)
    assert np.abs(theirs - other).max() > 1e-2
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
