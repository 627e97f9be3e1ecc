"""Settings of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vla_ros.errors import VlaError
from vla_ros.train.losses import LossWeights

Precision = Literal["auto", "float32", "bfloat16"]


class TrainingError(VlaError):
    """A run that cannot start or go on."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train. A run ends at ``minutes`` or ``samples``, whichever comes first.

    Attributes:
        minutes: Time budget of this run in minutes, earlier parts of a resumed run included.
            None: no time limit.
        samples: Observations to look at, over all processes. None: no limit.
        seed: Seed of weights, order, noise and wordings.
        processes: Processes on a CPU, one thread each. A GPU uses one.
        batch: Observations per process and step.
        blind_batch: Further frames per process and step that train the expert without images.
        draws: Flow draws per observation.
        lr: Peak learning rate.
        warm_up_steps: Steps of linear warm-up.
        decay_from: Progress (0 to 1) from which the rate falls as a cosine.
        weight_decay: Decoupled weight decay.
        clip: Largest gradient norm.
        ema_decay: Decay of the running mean of the weights, which is what is saved.
        counterfactual: Share of eligible frames that get another instruction.
        shift_px: Largest random shift of each camera's image in pixels, in the cameras' order;
            the last one holds for further cameras.
        weights: Factors of the auxiliary losses.
        num_steps: Euler steps written into the checkpoint.
        rtc_max_delay: Most leading rows that are given clean, for real-time chunking without
            guidance (arXiv 2512.05964); 0: none.
        max_words: Longest instruction.
        precision: "auto" takes bfloat16 where the hardware multiplies it faster than float32.
        sizes: Sizes of the network that differ from ``NanoSizes``' defaults.
        log_every_s: Seconds between log lines.
        save_every_s: Seconds between checkpoints.
        probe_every_s: Least seconds between two grounding probes.
        probe_after: Samples after which the grounding probe must reach ``probe_floor``.
        probe_floor: Share of named objects that must be found.
        on_weak_grounding: What to do when it is not reached.
    """

    minutes: float | None = None
    samples: int | None = None
    seed: int = 1
    processes: int = 2
    batch: int = 32
    blind_batch: int = 64
    draws: int = 2
    lr: float = 5e-4
    warm_up_steps: int = 150
    decay_from: float = 0.75
    weight_decay: float = 1e-3
    clip: float = 1.0
    ema_decay: float = 0.998
    counterfactual: float = 0.2
    shift_px: tuple[int, ...] = (1, 2)
    weights: LossWeights = field(default_factory=LossWeights)
    num_steps: int = 2
    rtc_max_delay: int = 0
    max_words: int = 32
    precision: Precision = "auto"
    sizes: Mapping[str, Any] = field(default_factory=dict)
    log_every_s: float = 30.0
    save_every_s: float = 300.0
    probe_every_s: float = 120.0
    probe_after: int = 120_000
    probe_floor: float = 0.9
    on_weak_grounding: Literal["stop", "warn"] = "warn"

    def __post_init__(self) -> None:
        if self.minutes is None and self.samples is None:
            raise ValueError("Give minutes, samples or both: without a limit training never ends.")
