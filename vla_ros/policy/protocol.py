"""What a policy is: something that turns one observation and one prompt into a chunk of actions.

The scripted expert, the learned models and a remote server all stand behind this one interface;
timing, fences and aggregation are not the policy's business (see `vla_ros.policy.runner`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from vla_ros.chunks.rtc import Jacobian
from vla_ros.spaces.observation import Observation
from vla_ros.spaces.time_contract import TimeContract


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """What a checkpoint needs and gives, checked against the robot file before anything moves.

    Attributes:
        name: Kind of policy, for example ``nano`` or ``expert``.
        model_id: Short hash or name of the weights; travels in every chunk.
        camera_keys: Images it reads.
        image_size: Height and width of those images in [px].
        state_names: Names of the state vector's elements, in order.
        action_names: Names of the action vector's elements, in order.
        horizon: Rows T of one chunk.
        contract: When its actions are due (from the dataset it was trained on).
        rtc: How it can continue the plan before (`vla_ros.chunks.rtc`): ``none``; ``guided``: its
            sampler pulls towards `PolicyRequest.guidance`; ``prefix``: it was trained with clean
            leading rows and takes the rows of weight 1 as given.
        rtc_max_delay: Most leading rows it was trained to be given; None: not bounded by training.
        n_obs_steps: Observations it looks at, one row apart, the newest included.
        ensemble_m: Decay m of temporal ensembling, where its chunks are joined so (aggregation
            ``ensemble``); larger values trust old chunks more.
    """

    name: str
    model_id: str
    camera_keys: tuple[str, ...]
    image_size: tuple[int, int]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    horizon: int
    contract: TimeContract
    rtc: Literal["none", "guided", "prefix"] = "none"
    rtc_max_delay: int | None = None
    n_obs_steps: int = 1
    ensemble_m: float = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Guidance:
    """What a new chunk should agree with, on its own rows (real-time chunking).

    Attributes:
        actions: The plan before at the new chunk's rows, absolute; rows of weight 0 are ignored
            and may hold anything finite. Shape (T, A).
        weights: How much each row counts, 1 for what is executed anyway. Shape (T,).
        max_weight: Bound of the guidance's strength (beta).
        jacobian: ``none`` pulls the estimate of the end straight to the plan; ``full`` through
            the network's Jacobian (arXiv 2506.07339), at the price of a backward pass a step;
            ``estimated`` straight, as far as the policy yields (`vla_ros.chunks.rtc`).
    """

    actions: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    max_weight: float = 5.0
    jacobian: Jacobian = "none"


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyRequest:
    """One question to a policy.

    Attributes:
        observation: What the robot saw and felt at one instant.
        prompt: The subtask in the policy's words.
        seed: Makes sampling repeatable; None draws at random.
        guidance: What the answer should agree with; only flow policies take it.
        history: Observations before, the oldest first, for policies that look at several.
    """

    observation: Observation
    prompt: str
    seed: int | None = None
    guidance: Guidance | None = None
    history: tuple[Observation, ...] = ()


class Policy(Protocol):
    """Anything that answers observations with chunks. One caller at a time."""

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        ...

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk.

        Returns:
            Absolute actions, SI, in the robot file's order. Shape (T, A).

        Raises:
            VlaError: It cannot answer; the text says what, expected, got and what to do.
        """
        ...

    def reset(self) -> None:
        """Forget everything about the run before."""
        ...

    def warm_up(self) -> None:
        """Pay all first-call costs now, before a robot waits."""
        ...

    def close(self) -> None:
        """Free what is held; calling it twice is harmless."""
        ...
