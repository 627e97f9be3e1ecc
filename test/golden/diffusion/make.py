"""Make golden.safetensors from a reference checkpoint; refuses where we differ from it.

    python test/golden/diffusion/make.py REFERENCE

REFERENCE holds a checkpoint of LeRobot 0.4.4's DiffusionPolicy, ``inputs.safetensors`` and
``outputs.safetensors`` with what that code answered. Kept are its answers, its configuration and
statistics of actions, and the U-Net's weights; those of the image encoder, most of the file, are
not.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from vla_ros.policy.checkpoints.lerobot_folder import ACTION, IMAGE, STATE, read_lerobot
from vla_ros.policy.families.diffusion import load_diffusion, read_sampling
from vla_ros.policy.models.diffusion import diffusion_loss

NORMAL, RAW = "normalized.", "raw."


def main(reference: Path) -> None:
    """Check everything, then write."""
    folder = read_lerobot(reference / "checkpoint")
    inputs = load_file(reference / "inputs.safetensors")
    outputs = load_file(reference / "outputs.safetensors")
    model, sampling = load_diffusion(folder), read_sampling(folder)
    for key in (*(IMAGE + camera for camera in folder.cameras), STATE, ACTION):
        ours = torch.from_numpy(folder.normaliser(key).apply(inputs[RAW + key].numpy()))
        torch.testing.assert_close(ours, inputs[NORMAL + key], atol=1e-6, rtol=1e-6)
    images = torch.stack([inputs[NORMAL + IMAGE + camera] for camera in folder.cameras], dim=2)
    draws = iter(inputs["ddpm_step_noise"])
    schedule = sampling.schedule
    torch.testing.assert_close(schedule.kept, outputs["alphas_cumprod"], atol=0, rtol=1e-6)
    assert schedule.times(sampling.steps) == outputs["timesteps"].tolist()
    with torch.inference_mode():
        condition = model.condition(images, inputs[NORMAL + STATE])
        torch.testing.assert_close(condition, outputs["global_cond"], atol=2e-5, rtol=1e-4)
        sample = schedule.sample(
            lambda x, time: model.unet(x, torch.full((2,), time), condition),
            inputs["noise"],
            sampler=sampling.sampler,
            steps=sampling.steps,
            draw=lambda: next(draws),
        )
        torch.testing.assert_close(sample, outputs["sampled_horizon"], atol=1e-4, rtol=0)
        rows = sample[:, sampling.rows]
        torch.testing.assert_close(rows, outputs["predict_action_chunk"], atol=1e-4, rtol=0)
        robot = torch.from_numpy(folder.normaliser(ACTION).invert(rows.numpy()))
        torch.testing.assert_close(robot, outputs["postprocessed_chunk"], atol=1e-4, rtol=0)
        actions, time = inputs[NORMAL + ACTION], inputs["loss_timesteps"]
        loss = diffusion_loss(model, schedule, condition, actions, inputs["loss_eps"], time)
        torch.testing.assert_close(loss, outputs["loss"], atol=1e-4, rtol=1e-4)
    difference = (sample - outputs["sampled_horizon"]).abs().max()
    print("largest difference of the sample:", difference.item())
    unet = model.unet.state_dict()
    kept = {f"weights.{name}": tensor.clone() for name, tensor in unet.items()}
    kept |= {
        "condition": outputs["global_cond"],
        "noise": inputs["noise"],
        "draws": inputs["ddpm_step_noise"],
        "answer_at_5": outputs["unet.t5"],
        "sample": outputs["sampled_horizon"],
        "rows": outputs["predict_action_chunk"],
        "robot": outputs["postprocessed_chunk"],
        "kept": outputs["alphas_cumprod"],
        "actions": actions,
        "loss_noise": inputs["loss_eps"],
        "loss_time": time,
        "noisy": outputs["noisy_action"],
        "loss": outputs["loss"],
    }
    kept |= {
        f"statistics.{name}": torch.from_numpy(values.copy())
        for name, values in folder.statistics.items()
        if name.startswith(f"{ACTION}.")
    }
    save_file(kept, Path(__file__).with_name("golden.safetensors"))
    config = "config.json"
    shutil.copyfile(reference / "checkpoint" / config, Path(__file__).with_name(config))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
