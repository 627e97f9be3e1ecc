"""Small stand-ins for tests: a set of coloured squares, a tiny network, a tiny checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from vla_ros.data.demo_frames import DemoInfo, FrameArrays
from vla_ros.data.demos import DemoSet, DemoWriter, open_demos
from vla_ros.policy.checkpoints.nano import NanoStatistics, save_nano
from vla_ros.policy.checkpoints.nano_config import NanoConfig
from vla_ros.policy.models.nano import Nano
from vla_ros.train.config import TrainConfig
from vla_ros.train.policy import policy_config
from vla_ros.train.statistics import measure

JOINTS = tuple(f"joint{i}" for i in range(1, 7))

TINY_SIZES = {
    "width": 32,
    "heads": 2,
    "hidden": 32,
    "prefix_blocks": 1,
    "expert_blocks": 1,
    "channels": (8, 8, 16),
    "keypoints": 6,
    "word_width": 16,
    "instruction_width": 16,
}

COLOURS = np.array([[200, 30, 30], [30, 180, 40], [30, 40, 200], [40, 60, 220], [220, 200, 30]])


def tiny_info() -> DemoInfo:
    return DemoInfo(
        robot="sim_arm",
        spec_hash=2**63 + 5,
        state_names=(*JOINTS, "finger_joint"),
        action_names=(*JOINTS, "gripper"),
        action_kinds=("position",) * 6 + ("binary",),
        camera_keys=("front", "wrist"),
        image_height=32,
        image_width=64,
        horizon=4,
        dt_s=0.05,
        time_contract={
            "image_latency_s": {"front": 0.0, "wrist": 0.0},
            "state_at": "capture",
            "action_offset_s": 0.0,
            "dt_s": 0.05,
            "interpolation": "linear",
        },
    )


def tiny_episode(rng: np.random.Generator, count: int, episode: int) -> FrameArrays:
    """Squares in a front image; every joint heads for the asked cube."""
    images = rng.integers(90, 120, (count, 2, 32, 64, 3)).astype(np.uint8)
    scene = np.zeros((count, 5, 4), np.float32)
    scene[..., 0] = rng.uniform(0.25, 0.46, (count, 5))
    scene[..., 1] = rng.uniform(-0.07, 0.07, (count, 5))
    scene[..., 3] = rng.uniform(-0.7, 0.7, (count, 5))
    pixels = np.full((count, 2, 5, 2), 9.0, np.float32)
    pixels[:, 0, :, 0] = scene[..., 1] * 200 / 32
    pixels[:, 0, :, 1] = (scene[..., 0] - 0.35) * 100 / 16
    for row in range(count):
        for place in range(5):
            x = int(32 + scene[row, place, 1] * 200)
            y = int(16 + (scene[row, place, 0] - 0.35) * 100)
            images[row, 0, y - 3 : y + 3, x - 3 : x + 3] = COLOURS[place]
    target = np.stack([rng.integers(0, 3, count), rng.integers(0, 2, count)], 1).astype(np.int16)
    state = rng.normal(0.0, 0.5, (count, 7)).astype(np.float32)
    cube = scene[np.arange(count), target[:, 0]]
    actions = np.zeros((count, 4, 7), np.float32)
    actions[..., :6] = state[:, None, :6] + (cube[:, None, :1] - 0.35) * 3.0
    actions[..., 6] = cube[:, None, 1] > 0.0
    return FrameArrays(
        images=images,
        state=state,
        actions=actions,
        target=target,
        scene=scene,
        pixels=pixels,
        eligible=np.ones(count, bool),
        episode=np.full(count, episode, np.int32),
        frame=np.arange(count, dtype=np.int32),
    )


def write_tiny(folder: Path, episodes: int = 8, count: int = 12) -> DemoSet:
    rng = np.random.default_rng(0)
    with DemoWriter(folder, tiny_info(), shard_frames=40) as writer:
        for episode in range(episodes):
            writer.append(tiny_episode(rng, count, episode), seed=100 + episode)
    return open_demos([folder])


def tiny_config() -> NanoConfig:
    return policy_config(tiny_info(), TrainConfig(samples=1, sizes=TINY_SIZES))


def tiny_statistics(folder: Path) -> NanoStatistics:
    return measure(write_tiny(folder))


def write_tiny_checkpoint(folder: Path, data: Path) -> Nano:
    torch.manual_seed(0)
    model = Nano(tiny_config().sizes)
    model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    save_nano(folder, tiny_config(), tiny_statistics(data), model.state_dict(), card="# test\n")
    return model
