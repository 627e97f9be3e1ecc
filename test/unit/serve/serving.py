"""A server in a thread, and policies small enough to reason about."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Policy, PolicyRequest, PolicySpec
from vla_ros.policy.serve import PolicyServer, ServeConfig
from vla_ros.spaces import Observation, TimeContract

ROOT = Path(__file__).parents[3]

SPEC = PolicySpec(
    name="small",
    model_id="weights-1",
    camera_keys=("front", "wrist"),
    image_size=(4, 6),
    state_names=("joint1", "joint2"),
    action_names=("joint1", "joint2"),
    horizon=3,
    contract=TimeContract(
        image_latency_ns={"front": 33_000_001, "wrist": 60_000_000},
        state_at="decision",
        action_offset_ns=-7,
        dt_ns=50_000_000,
        interpolation="linear",
    ),
    rtc="guided",
    rtc_max_delay=2,
)


def request_with(
    state: Sequence[float] = (0.25, -1.0), prompt: str = "go", seed: int | None = 7
) -> PolicyRequest:
    rng = np.random.default_rng(5)
    images = {key: rng.integers(0, 255, (4, 6, 3), np.uint8) for key in SPEC.camera_keys}
    return PolicyRequest(
        observation=Observation(
            seq=0,
            t_obs_ns=0,
            start_ns=0,
            images=images,
            image_stamps_ns=dict.fromkeys(images, 0),
            state=np.array(state, np.float64),
            state_stamp_ns=0,
            streams=(),
        ),
        prompt=prompt,
        seed=seed,
    )


def raw_message(**changes: object) -> dict[str, object]:
    """The same as a client of openpi's kind sends it."""
    request = request_with()
    return {
        "images": dict(request.observation.images),
        "state": request.observation.state,
        "prompt": "go",
        **changes,
    }


class Small:
    """Its answer depends on every part of the request, and it knows no word 'unknown'."""

    def __init__(self, spec: PolicySpec = SPEC) -> None:
        self.spec = spec
        self.resets = 0
        self.seen: list[PolicyRequest] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.began = threading.Event()

    def infer(self, request: PolicyRequest) -> np.ndarray:
        self.began.set()
        assert self.go_on.wait(30.0)
        self.seen.append(request)
        if "unknown" in request.prompt:
            raise VlaError("the prompt holds an unknown word")
        if "bug" in request.prompt:
            raise ZeroDivisionError("division by zero")
        rng = np.random.default_rng(request.seed)
        images = request.observation.images
        pixels = sum((k + 1) * float(images[key].sum()) for k, key in enumerate(sorted(images)))
        base = rng.normal(size=(self.spec.horizon, 2)) + request.observation.state
        return base + 1e-3 * pixels + 1e-6 * len(request.prompt)

    def reset(self) -> None:
        self.resets += 1

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        pass


class Batching(Small):
    """Several at once."""

    max_batch = 4

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def infer_batch(self, requests: Sequence[PolicyRequest]) -> list[np.ndarray]:
        self.batches.append(len(requests))
        return [self.infer(request) for request in requests]


class Serving:
    """Serves a policy on a free port of this machine until the block ends."""

    def __init__(self, policy: Policy, **config: object) -> None:
        self._policy = policy
        self._config = ServeConfig(**{"port": 0, **config})
        self._ready = threading.Event()

    def __enter__(self) -> Serving:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._work.cancel)
        self._thread.join(10.0)
        assert not self._thread.is_alive()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        return f"ws://{self.address}"

    async def _run(self) -> None:
        def ready(port: int) -> None:
            self.port = port
            self._ready.set()

        self._loop = asyncio.get_running_loop()
        self._work = asyncio.ensure_future(PolicyServer(self._policy, self._config).run(ready))
        try:
            await self._work
        except asyncio.CancelledError:
            return


class Telling(Small):
    """Prints the prompt of every request that it gets."""

    def infer(self, request: PolicyRequest) -> np.ndarray:
        print(request.prompt, flush=True)
        return super().infer(request)


if __name__ == "__main__":
    with Serving(Telling(), port=int(sys.argv[1]) if sys.argv[1:] else 0) as server:
        print(server.port, flush=True)
        threading.Event().wait()


@contextmanager
def serving(*options: str, port: int = 0) -> Iterator[str]:
    """The address of `vla serve`, which runs until the block ends, then stops as SIGTERM asks."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vla_ros.policy.serve", "--port", str(port), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"listening on (wss?://\S+);", line):
                break
        else:
            raise AssertionError(f"ended without listening: {said}")
        yield found[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30.0) == 0
    finally:
        process.kill()
        process.wait()
