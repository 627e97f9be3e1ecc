"""`vla serve --ray-replicas`: Ray Serve with local workers, in an environment of its own.

RAY_PYTHON names an interpreter that has `ray[serve]` beside what the package needs at run time.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "policy"))

from serving import serving
from test_vla_checkpoints import GOLDEN, request_for

from vla_ros.policy.load import load_policy
from vla_ros.policy.protocol import Policy, PolicyRequest
from vla_ros.policy.remote import RemoteError
from vla_ros.policy.serve.fleet import Fleet, FleetConfig, FleetError

PYTHON = os.environ.get("RAY_PYTHON", "")
CHECKPOINT = str(GOLDEN / "pi0" / "checkpoint")


def answered(robot: Policy, request: PolicyRequest) -> npt.NDArray[np.float64]:
    """The answer, after as many tries as the loss of a replica may cost."""
    for _ in range(3):
        try:
            return robot.infer(request)
        except RemoteError as error:
            if "a replica failed" not in str(error):
                raise
    raise AssertionError("no answer in three tries")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not PYTHON, reason="RAY_PYTHON names no interpreter with ray[serve]")
def test_robots_get_from_a_fleet_what_the_checkpoint_gives_alone():
    alone = load_policy(CHECKPOINT, threads=1)
    options = ("--policy", CHECKPOINT, "--threads", "1", "--ray-replicas", "2")
    with serving(*options, "--peer-python", PYTHON) as address:
        robots = [load_policy(address) for _ in range(4)]
        requests = [request_for(alone.spec, seed=k) for k in range(4)]
        with ThreadPoolExecutor(4) as pool:
            for _ in range(5):
                chunks = list(pool.map(lambda r, q: r.infer(q), robots, requests))
                for request, chunk in zip(requests, chunks, strict=True):
                    np.testing.assert_allclose(chunk, alone.infer(request), atol=1e-5)
        with pytest.raises(RemoteError, match="tokens, expected 1 to"):
            robots[0].infer(replace(requests[0], prompt="open " * 500))
        replica = next(p for p in psutil.process_iter(["name"]) if "ServeReplica" in p.name())
        replica.kill()
        replica.wait(30.0)
        chunks = [answered(robots[0], request) for request in requests]
        for request, chunk in zip(requests, chunks, strict=True):
            np.testing.assert_allclose(chunk, alone.infer(request), atol=1e-5)
        for robot in robots:
            robot.close()


@pytest.mark.skipif(bool(PYTHON), reason="for environments without Ray")
def test_without_ray_the_error_says_what_to_install():
    with pytest.raises(FleetError, match=r"pip install 'ray\[serve\]'"):
        Fleet(CHECKPOINT, FleetConfig(replicas=2))
