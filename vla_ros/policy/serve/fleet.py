"""One checkpoint on many processes, GPUs or computers, by Ray Serve (an optional extra).

Robots meet the same server as ever; behind it each request goes to the replica with the shortest
queue, which batches what waits there (https://docs.ray.io/en/latest/serve/advanced-guides/
dyn-req-batch.html). Everything the policy needs must be installed wherever replicas run.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Policy, PolicyRequest, PolicySpec
from vla_ros.policy.serve.batching import Actions, answer_all

NAME = "vla_ros"


class FleetError(VlaError):
    """Ray is not there, its replicas do not start, or the policy is not for a fleet."""


@dataclass(frozen=True, kw_only=True)
class FleetConfig:
    """How many, and how they batch.

    Attributes:
        replicas: Processes with a copy of the policy each.
        max_batch: Most requests of one batch; a policy that answers one at a time takes them in
            turn.
        max_wait_s: Longest wait of a replica for more requests, in [s].
        device: Of each replica; ``cuda`` asks Ray for one GPU each.
        threads: CPU threads of each replica.
        start_s: Longest time for the replicas to load, in [s].
    """

    replicas: int
    max_batch: int = 8
    max_wait_s: float = 0.01
    device: str = "cpu"
    threads: int | None = None
    start_s: float = 600.0


class Replica:
    """What runs in a process of Ray: a warm policy. Ray calls it."""

    def __init__(self, source: str, config: FleetConfig) -> None:
        from vla_ros.policy.load import load_policy

        serve: Any = importlib.import_module("ray.serve")

        self._policy: Policy = load_policy(source, threads=config.threads, device=config.device)
        self._policy.warm_up()
        self._answer = serve.batch(
            self._answer_all,
            max_batch_size=config.max_batch,
            batch_wait_timeout_s=config.max_wait_s,
        )

    def spec(self) -> PolicySpec:
        """What the policy needs and gives."""
        return self._policy.spec

    async def infer(self, request: PolicyRequest) -> Actions | Exception:
        """The chunk, Shape (T, A), or the reason why there is none."""
        return await self._answer(request)

    async def _answer_all(self, requests: Sequence[PolicyRequest]) -> list[tuple[Any]]:
        return answer_all(self._policy, requests)  # type: ignore[return-value]


class Fleet:
    """The replicas behind the Policy protocol; several threads may ask at once.

    Args:
        source: Checkpoint, as for ``load_policy``; a path that every replica can read.
        config: How many.

    Raises:
        FleetError: Ray is not installed, or the replicas do not start.
    """

    def __init__(self, source: str, config: FleetConfig) -> None:
        try:
            self._serve: Any = importlib.import_module("ray.serve")
        except ImportError as error:
            raise FleetError(
                f"Ray Serve cannot be imported ({error}); pip install 'ray[serve]'"
            ) from error
        self._config = config
        gpus = 1 if config.device.startswith("cuda") else 0
        deployment = self._serve.deployment(
            Replica,
            name="policy",
            num_replicas=config.replicas,
            max_ongoing_requests=2 * config.max_batch,
            ray_actor_options={"num_cpus": config.threads or 1, "num_gpus": gpus},
        )
        try:
            self._serve.start(http_options={"location": "NoServer"})  # robots come by our server
            self._handle = self._serve.run(
                deployment.bind(source, config), name=NAME, route_prefix=None
            )
            self._spec: PolicySpec = self._handle.spec.remote().result(timeout_s=config.start_s)
        except Exception as error:  # Ray raises whatever its parts raise
            raise FleetError(f"the replicas did not start: {error}") from error

    @property
    def spec(self) -> PolicySpec:
        """What the policy needs and gives."""
        return self._spec

    @property
    def parallel(self) -> int:
        """Enough to keep every replica's batches full."""
        return self._config.replicas * self._config.max_batch

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """One chunk from one of the replicas. Shape (T, A).

        Raises:
            Exception: What the policy raised for this request.
            FleetError: The replica was lost.
        """
        try:
            answer = self._handle.infer.remote(request).result()
        except Exception as error:
            raise FleetError(f"a replica failed: {error}") from error
        if isinstance(answer, Exception):
            raise answer
        return np.asarray(answer, np.float64)

    def reset(self) -> None:
        """Nothing to forget: replicas answer each request by itself."""

    def warm_up(self) -> None:
        """Each replica is warm before it takes requests."""

    def close(self) -> None:
        """End the replicas."""
        self._serve.delete(NAME)
