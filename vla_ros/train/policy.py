"""What a policy trained on given data is: names, words, sizes."""

from __future__ import annotations

from vla_ros.data.demo_frames import DemoInfo
from vla_ros.policy.checkpoints.nano_config import NanoConfig
from vla_ros.policy.models.nano import NanoSizes
from vla_ros.train import instructions
from vla_ros.train.config import TrainConfig, TrainingError

SCENE_MEAN = (0.35, 0.0, 0.05)
SCENE_SCALE = 0.07


def policy_config(info: DemoInfo, config: TrainConfig) -> NanoConfig:
    """What a policy trained on this data is."""
    if info.grammar != instructions.NAME:
        raise TrainingError(
            f"The data ask for grammar '{info.grammar}'; this version has '{instructions.NAME}'."
        )
    colours = dict.fromkeys(name.split()[0] for name in info.object_names + info.bin_names)
    words = instructions.vocabulary(tuple(colours))
    return NanoConfig(
        robot=info.robot,
        spec_hash=info.spec_hash,
        camera_keys=info.camera_keys,
        state_names=info.state_names,
        action_names=info.action_names,
        action_kinds=info.action_kinds,
        num_steps=config.num_steps,
        rtc_max_delay=config.rtc_max_delay,
        time_contract=info.time_contract,
        vocabulary=words,
        max_words=config.max_words,
        object_names=info.object_names,
        bin_names=info.bin_names,
        scene_mean=SCENE_MEAN,
        scene_scale=SCENE_SCALE,
        sizes=NanoSizes(
            cameras=len(info.camera_keys),
            image_height=info.image_height,
            image_width=info.image_width,
            state_dim=len(info.state_names),
            action_dim=len(info.action_names),
            horizon=info.horizon,
            words=len(words) + 2,
            objects=len(info.object_names),
            bins=len(info.bin_names),
            **config.sizes,
        ),
    )
