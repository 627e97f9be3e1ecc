"""One inference: what is fixed at its start, what its answer must be, what a run made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Aggregation
from vla_ros.errors import VlaError
from vla_ros.policy.joiner import Ask
from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.spaces.vectors import VectorSpace


class PolicyFault(VlaError):
    """The policy failed or answered with something that must not move a robot."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One inference to do, with everything that is fixed at its start.

    Attributes:
        number: Counts the jobs of one runner.
        request: What to give to the policy.
        run_id: The run this is for. 16 bytes.
        epoch: The bridge's epoch at inference start.
        inference_start_ns: ROS time, in [ns].
        dt_ns: Time between the answer's rows after speed scaling, in [ns].
        ask: How the answer will be joined to the plan before.
    """

    number: int
    request: PolicyRequest
    ask: Ask
    run_id: bytes
    epoch: int
    inference_start_ns: int
    dt_ns: int


@dataclass(frozen=True, kw_only=True)
class RunStats:
    """What one run did so far; the latencies are those of its last chunk.

    Attributes:
        chunks: Chunks published.
        late_chunks: Those that came after the plan before had run out.
        observation_age_ns: Publication minus the observation's instant, in [ns].
        inference_ns: Inference end minus inference start, in [ns].
        delay_steps: Rows of the chunk that were due before it could take over.
        aggregation: How the last chunk was joined to the plan before.
        fallback: Why that is not what was set; "" where it is.
        fallbacks: Chunks that were not joined as set.
        stretch: How many times slower than asked the last chunk is executed, because chunks at
            full speed would end before their successors come.
    """

    chunks: int = 0
    late_chunks: int = 0
    observation_age_ns: int = 0
    inference_ns: int = 0
    delay_steps: int = 0
    aggregation: Aggregation = "blend"
    fallback: str = ""
    fallbacks: int = 0
    stretch: float = 1.0

    @property
    def concern(self) -> str:
        """What an operator should know of the last chunk; "" where all is as set."""
        if self.stretch > 1.0 and not self.fallback:
            return f"inference is slow: the run is executed {self.stretch:.2f} times slower"
        return self.fallback


def checked_answer(
    actions: npt.NDArray[np.floating], spec: PolicySpec, space: VectorSpace
) -> npt.NDArray[np.float64]:
    """A policy's answer as a fresh float64 array of shape (T, A).

    Raises:
        PolicyFault: Another shape, or values that are not finite.
    """
    expected = (spec.horizon, space.dim)
    chunk = np.array(actions, dtype=np.float64)
    if chunk.shape != expected:
        raise PolicyFault(
            f"policy '{spec.name}' answered with shape {chunk.shape}, expected {expected}; the run "
            f"ends: use a checkpoint made for this robot"
        )
    if not np.isfinite(chunk).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(chunk))[0])
        raise PolicyFault(
            f"policy '{spec.name}' answered {chunk[row, column]} in row {row}, column "
            f"'{space.names[column]}', expected finite numbers; the run ends: check the "
            f"checkpoint's statistics"
        )
    return chunk
