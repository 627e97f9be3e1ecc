"""The training loop: plain PyTorch, one process per CPU core or one GPU.

On shared CPU cores two processes of one thread are several times faster than one process of two
threads, whose barriers spin. Gradients are averaged with gloo.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from vla_ros.data.demos import DemoSet, open_demos
from vla_ros.policy.checkpoints.nano import load_nano, save_nano
from vla_ros.policy.models.nano import Nano
from vla_ros.train.batches import BatchMaker
from vla_ros.train.card import model_card
from vla_ros.train.config import TrainConfig, TrainingError
from vla_ros.train.losses import nano_losses, total
from vla_ros.train.optimiser import FlatAdamW
from vla_ros.train.policy import policy_config
from vla_ros.train.precision import wants_bfloat16
from vla_ros.train.probe import grounding
from vla_ros.train.statistics import measure

_PROBE_FRAMES = 128


def train(
    config: TrainConfig,
    dataset_dirs: Sequence[Path | str],
    out_dir: Path | str,
    *,
    init: Path | str | None = None,
) -> Path:
    """Train nano, or go on where an earlier call with the same ``out_dir`` stopped.

    Writes ``metrics.jsonl``, ``state.pt`` (to resume) and ``checkpoint/`` into ``out_dir``.

    Args:
        config: Settings.
        dataset_dirs: Demonstration sets.
        out_dir: Where to write.
        init: Checkpoint to start from; its statistics are kept. None: from scratch.

    Returns:
        The checkpoint folder.

    Raises:
        DemoSetError: A set cannot be read.
        TrainingError: The loss is not finite, or grounding stays weak and the run shall stop.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    folders = [str(folder) for folder in dataset_dirs]
    open_demos(folders)
    processes = 1 if torch.cuda.is_available() else config.processes
    job = (processes, _free_port(), config, folders, str(out), str(init) if init else None)
    # glibc hands big blocks back to the kernel at every free unless told otherwise; each step
    # would fault its activations in again.
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.setdefault(name, str(1 << 32))
    os.environ.setdefault("MALLOC_TOP_PAD_", str(1 << 28))
    os.environ["OMP_NUM_THREADS"] = "1"
    mp.spawn(_worker, args=job, nprocs=processes, join=True)
    return out / "checkpoint"


def _worker(
    rank: int,
    processes: int,
    port: int,
    config: TrainConfig,
    folders: list[str],
    out: str,
    init: str | None,
) -> None:
    if torch.cuda.is_available():
        device = torch.device("cuda")
    else:
        device = torch.device("cpu")
        torch.set_num_threads(1)
    if processes > 1:
        address = f"tcp://127.0.0.1:{port}"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=processes)
    try:
        _Run(rank, processes, device, config, folders, Path(out), init).run()
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


class _Run:
    """One process of a run."""

    def __init__(
        self,
        rank: int,
        processes: int,
        device: torch.device,
        config: TrainConfig,
        folders: list[str],
        out: Path,
        init: str | None,
    ) -> None:
        self.rank, self.processes, self.device = rank, processes, device
        self.config, self.out = config, out
        demos = open_demos(folders)
        start = load_nano(init) if init else None
        self.policy = start.config if start else policy_config(demos.info, config)
        self.statistics = start.statistics if start else measure(demos)
        torch.manual_seed(config.seed)
        self.model = Nano(self.policy.sizes)
        if start:
            self.model.load_state_dict(start.weights)
        master = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.bfloat16 = wants_bfloat16(config, device)
        if self.bfloat16:
            self.model.to_bfloat16()
        self.model.to(device)
        for camera in self.model.cameras:
            camera.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = FlatAdamW(
            self.model,
            weight_decay=config.weight_decay,
            clip=config.clip,
            ema_decay=config.ema_decay,
            master=master,
        )
        self.maker = self._maker(demos)
        self.step, self.clock, self.grounded = 0, 0.0, False
        self.probed = 0.0
        self.sums: defaultdict[str, float] = defaultdict(float)
        self._resume()

    def _maker(self, demos: DemoSet) -> BatchMaker:
        shift = self.config.shift_px
        cameras = len(self.policy.camera_keys)
        return BatchMaker(
            demos,
            self.policy,
            self.statistics,
            counterfactual=self.config.counterfactual,
            shift_px=(shift + (shift[-1],) * cameras)[:cameras],
        )

    @property
    def samples(self) -> int:
        """Observations looked at so far, over all processes."""
        return self.step * self._step_samples

    @property
    def _step_samples(self) -> int:
        return self.config.batch * self.processes

    def run(self) -> None:
        """Train until the budget is spent."""
        config = self.config
        begin = time.monotonic() - self.clock
        logged = saved = self.clock
        logged_step = self.step
        generator = torch.Generator(device=self.device)
        self._say({"event": "start", **self._facts()})
        while (progress := self._progress()) < 1.0:
            seed = (config.seed, self.rank, self.step)
            batch = self.maker.draw(config.batch, seed).to(self.device)
            generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
            blind = self.maker.draw_blind(config.blind_batch, (*seed, 1)).to(self.device)
            losses = nano_losses(
                self.model,
                batch,
                blind,
                draws=config.draws,
                max_delay=config.rtc_max_delay,
                generator=generator,
            )
            loss = total(losses, config.weights)
            if not torch.isfinite(loss):
                raise TrainingError(f"The loss is not finite at step {self.step}: {losses}.")
            loss.backward()
            # All processes go by the same averaged clock, so they decide alike and never part.
            norm, self.clock = self.optimiser.step(self._lr(progress), time.monotonic() - begin)
            self.step += 1
            self.sums["grad_norm"] += norm
            for name, value in losses.items():
                self.sums[name] += float(value.detach())
            if self.clock - logged >= config.log_every_s:
                rate = (self.step - logged_step) * self._step_samples / (self.clock - logged)
                self._log(rate, self.step - logged_step)
                logged, logged_step = self.clock, self.step
            if self.clock - saved >= config.save_every_s:
                self._save()
                saved = self.clock
        self._save()
        self._say({"event": "end", "samples": self.samples, "elapsed_s": round(self.clock, 1)})

    def _progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        spent = [0.0]
        if self.config.minutes is not None:
            spent.append(self.clock / (60.0 * self.config.minutes))
        if self.config.samples is not None:
            spent.append(self.samples / self.config.samples)
        return min(1.0, max(spent))

    def _lr(self, progress: float) -> float:
        config = self.config
        warm = min(1.0, (self.step + 1) / config.warm_up_steps)
        late = max(0.0, (progress - config.decay_from) / (1.0 - config.decay_from))
        return config.lr * warm * max(0.02, 0.5 * (1.0 + math.cos(math.pi * late)))

    def _log(self, rate: float, steps: int) -> None:
        """Say how it goes; every process takes part in the probe."""
        due = self.clock - self.probed >= self.config.probe_every_s
        shares = self._probe() if due else {}
        means = {name: round(value / steps, 5) for name, value in self.sums.items()}
        self.sums.clear()
        self._say(
            {
                "event": "progress",
                "minutes": round(self.clock / 60.0, 2),
                "step": self.step,
                "samples": self.samples,
                "samples_per_s": round(rate, 1),
                "lr": round(self._lr(self._progress()), 7),
                **means,
                **{f"probe_{name}": round(share, 3) for name, share in shares.items()},
            }
        )
        config = self.config
        late = config.probe_after <= self.samples and not self.grounded
        if shares and min(shares["object"], shares["bin"]) >= config.probe_floor:
            self.grounded = True
        elif late and shares:
            text = (
                f"After {self.samples} samples the named object is found in "
                f"{shares['object']:.0%} and the named bin in {shares['bin']:.0%} of held-back "
                f"frames; expected at least {config.probe_floor:.0%}. The words are not tied to "
                "the things: check targets, scene positions and eligible flags of the data."
            )
            if config.on_weak_grounding == "stop":
                raise TrainingError(text)
            self._say({"event": "warning", "text": text})

    def _probe(self) -> dict[str, float]:
        frames = self.maker.validation
        rng = np.random.default_rng((self.config.seed, self.rank))
        self.probed = self.clock
        if len(frames) == 0:
            return {}
        index = rng.choice(frames, size=min(_PROBE_FRAMES, len(frames)), replace=False)
        self.model.eval()
        shares = grounding(self.model, self.maker, np.sort(index), self.device)
        self.model.train()
        mean = torch.tensor(list(shares.values()), device=self.device)
        if dist.is_initialized():
            dist.all_reduce(mean)
            mean /= self.processes
        return dict(zip(shares, mean.tolist(), strict=True))

    def _facts(self) -> dict[str, Any]:
        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "training_frames": len(self.maker.training),
            "probe_frames": len(self.maker.validation),
            "processes": self.processes,
            "precision": "bfloat16" if self.bfloat16 else "float32",
            "device": self.device.type,
            "resumed_at_step": self.step,
            "config": dataclasses.asdict(self.config),
        }

    def _say(self, record: dict[str, Any]) -> None:
        if self.rank:
            return
        with (self.out / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        shown = (f"{key} {value}" for key, value in record.items() if key != "config")
        print("  ".join(shown), flush=True)  # noqa: T201

    def _save(self) -> None:
        """Write the resume state and the checkpoint; each replaces the old one as a whole."""
        if self.rank:
            return
        state = {"step": self.step, "clock": self.clock, "optimiser": self.optimiser.state_dict()}
        partial = self.out / ".state.pt"
        torch.save(state, partial)
        os.replace(partial, self.out / "state.pt")
        training = {
            "samples": self.samples,
            "minutes": round(self.clock / 60.0, 2),
            "frames": len(self.maker.training),
            "config": dataclasses.asdict(self.config),
        }
        policy = dataclasses.replace(self.policy, training=training)
        save_nano(
            self.out / "checkpoint",
            policy,
            self.statistics,
            self.optimiser.ema_weights(),
            card=model_card(policy),
        )

    def _resume(self) -> None:
        path = self.out / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.clock = state["step"], state["clock"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
