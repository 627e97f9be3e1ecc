"""Training learns, resumes and leaves a usable checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_demos import TINY_SIZES, tiny_config, write_tiny

from vla_ros.policy.checkpoints.nano import load_nano
from vla_ros.policy.families.nano import NanoPolicy
from vla_ros.policy.models.nano import Nano
from vla_ros.train.batches import BatchMaker, shifted
from vla_ros.train.config import TrainConfig
from vla_ros.train.loop import train
from vla_ros.train.losses import LossWeights, nano_losses, total
from vla_ros.train.optimiser import FlatAdamW
from vla_ros.train.statistics import ACTION_FLOOR, measure


def make(tmp_path: Path, counterfactual: float = 0.2) -> BatchMaker:
    demos = write_tiny(tmp_path)
    return BatchMaker(
        demos, tiny_config(), measure(demos), counterfactual=counterfactual, shift_px=(1, 2)
    )


def test_a_batch_depends_on_its_seed_alone(tmp_path: Path) -> None:
    maker = make(tmp_path)
    first, second, other = (maker.draw(8, (1, 0, step)) for step in (5, 5, 6))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.words, second.words)
    assert not torch.equal(first.actions, other.actions)


def test_counterfactual_targets_are_others_and_marked(tmp_path: Path) -> None:
    always = make(tmp_path / "a", counterfactual=1.0).draw(64, (0,))
    never = make(tmp_path / "b", counterfactual=0.0).draw(64, (0,))
    assert not always.follows.any()
    assert never.follows.all()
    same = (always.object_index == never.object_index) & (always.bin_index == never.bin_index)
    assert not same.any()


def test_normalised_data_have_unit_scale(tmp_path: Path) -> None:
    demos = write_tiny(tmp_path / "a")
    statistics = measure(demos)
    assert (statistics.action.std[:, :6] >= np.float32(ACTION_FLOOR)).all()
    batch = make(tmp_path / "b", 0.0).draw(512, (0,))
    assert abs(float(batch.state.std()) - 1.0) < 0.1
    assert set(batch.actions[..., 6].unique().tolist()) == {-1.0, 1.0}


def test_shifts_move_the_picture_by_whole_pixels() -> None:
    image = np.arange(6 * 6, dtype=np.uint8).reshape(1, 1, 6, 6, 1).repeat(3, axis=-1)
    found = set()
    for seed in range(60):
        out, moved = shifted(np.random.default_rng(seed), image, (1,))
        step = int(out[0, 0, 2, 2, 0]) - int(image[0, 0, 2, 2, 0])
        right, down = moved[0, 0] * 3  # half the image is 3 pixels
        assert step == round(-6 * down - right)
        found.add(step)
    assert found == {dy * 6 + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)}


@pytest.mark.slow
def test_every_loss_falls_and_every_weight_learns(tmp_path: Path) -> None:
    maker = make(tmp_path)
    torch.manual_seed(0)
    model = Nano(tiny_config().sizes)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = FlatAdamW(model, weight_decay=0.0, clip=1.0, ema_decay=0.9, master=start)
    generator = torch.Generator().manual_seed(0)
    history = []
    for step in range(60):
        losses = nano_losses(
            model,
            maker.draw(32, (step,)),
            maker.draw_blind(32, (step, 1)),
            draws=2,
            generator=generator,
        )
        total(losses, LossWeights()).backward()
        optimiser.step(3e-3, 0.0)
        history.append({name: float(value.detach()) for name, value in losses.items()})
    for name in history[0]:
        first = np.mean([h[name] for h in history[:3]])
        last = np.mean([h[name] for h in history[-5:]])
        assert last < 0.95 * first, (name, first, last)
    still = [n for n, p in model.named_parameters() if torch.equal(p, start[n])]
    assert still == []


def test_the_optimiser_equals_adamw_with_clipping() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Linear(3, 2) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    adam = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1)
    flat = FlatAdamW(
        ours, weight_decay=0.1, clip=0.5, ema_decay=0.9, master=dict(ours.named_parameters())
    )
    for _ in range(5):
        x = torch.randn(7, 3)
        for model in (ours, theirs):
            model(x).square().sum().backward()
        flat.step(1e-2, 0.0)
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        adam.step()
        adam.zero_grad()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)


def test_a_bfloat16_copy_keeps_its_exact_modules_and_its_master() -> None:
    model = Nano(tiny_config().sizes)
    master = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.to_bfloat16()
    optimiser = FlatAdamW(model, weight_decay=0.0, clip=1.0, ema_decay=0.5, master=master)
    assert model.expert.action_out.weight.dtype == torch.float32
    assert model.expert.norm.weight.dtype == torch.bfloat16
    ema = optimiser.ema_weights()
    assert all(torch.equal(ema[name], master[name]) for name in master)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_with_two_processes_stops_resumes_and_can_be_refined(tmp_path: Path) -> None:
    write_tiny(tmp_path / "data")
    settings = {
        "batch": 4,
        "blind_batch": 4,
        "sizes": TINY_SIZES,
        "log_every_s": 0.1,
        "probe_every_s": 0.1,
    }
    out = tmp_path / "run"
    train(TrainConfig(samples=80, **settings), [tmp_path / "data"], out)
    train(TrainConfig(samples=160, **settings), [tmp_path / "data"], out)
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    starts = [r["resumed_at_step"] for r in records if r["event"] == "start"]
    ends = [r["samples"] for r in records if r["event"] == "end"]
    assert (starts, ends) == ([0, 10], [80, 160])
    assert any("probe_object_held_out" in r for r in records)
    policy = NanoPolicy(out / "checkpoint")
    policy.warm_up()
    refined = train(
        TrainConfig(samples=8, processes=1, **settings),
        [tmp_path / "data"],
        tmp_path / "refined",
        init=out / "checkpoint",
    )
    before, after = load_nano(out / "checkpoint"), load_nano(refined)
    assert np.array_equal(before.statistics.action.mean, after.statistics.action.mean)
