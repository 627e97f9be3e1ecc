"""Make golden.safetensors from a reference checkpoint; refuses where we differ from it.

    python test/golden/act/make.py REFERENCE

REFERENCE holds a checkpoint of LeRobot 0.4.4's ACTPolicy, ``inputs.safetensors`` and
``outputs.safetensors`` with what that code answered. Kept are its answers, the transformer's
weights, its configuration and statistics of actions, and the backbone's feature maps; the
backbone's weights, nine tenths of the file, are not.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from vla_ros.policy.checkpoints.lerobot_folder import ACTION, IMAGE, STATE, read_lerobot
from vla_ros.policy.families.act import load_act
from vla_ros.policy.models.act import act_loss

NORMAL, RAW = "normalized.", "raw."


def main(reference: Path) -> None:
    """Check everything, then write."""
    folder = read_lerobot(reference / "checkpoint")
    inputs = load_file(reference / "inputs.safetensors")
    outputs = load_file(reference / "outputs.safetensors")
    model = load_act(folder)
    for key in (*(IMAGE + camera for camera in folder.cameras), STATE, ACTION):
        ours = torch.from_numpy(folder.normaliser(key).apply(inputs[RAW + key].numpy()))
        torch.testing.assert_close(ours, inputs[NORMAL + key], atol=1e-6, rtol=1e-6)
    images = torch.stack([inputs[NORMAL + IMAGE + camera] for camera in folder.cameras], dim=1)
    state, actions = inputs[NORMAL + STATE], inputs[NORMAL + ACTION]
    padding, noise = inputs["action_is_pad"], inputs["vae_eps"]
    with torch.inference_mode():
        features = model.backbone(images.flatten(0, 1))
        first = features.unflatten(0, images.shape[:2])[:, 0]
        torch.testing.assert_close(first, outputs["backbone_feature_map.0"], atol=2e-5, rtol=0)
        chunk = model(images, state)
        torch.testing.assert_close(chunk, outputs["predict_action_chunk"], atol=1e-4, rtol=0)
        robot = torch.from_numpy(folder.normaliser(ACTION).invert(chunk.numpy()))
        torch.testing.assert_close(robot, outputs["postprocessed_chunk"], atol=1e-4, rtol=0)
        loss = act_loss(model, images, state, actions, padding, noise)
        torch.testing.assert_close(loss.total, outputs["loss"], atol=1e-4, rtol=1e-5)
        print(
            "largest difference of the chunk:",
            (chunk - outputs["predict_action_chunk"]).abs().max(),
        )
    kept = {
        f"weights.{name}": tensor.clone()
        for name, tensor in model.state_dict().items()
        if not name.startswith("backbone.")
    }
    kept |= {
        "features": features.clone(),
        "state": state,
        "actions": actions,
        "padding": padding,
        "noise": noise,
        "stream": inputs["ensemble_stream"],
        "chunk": outputs["predict_action_chunk"],
        "robot": outputs["postprocessed_chunk"],
        "loss": outputs["loss"],
        "l1": outputs["l1_loss"],
        "kl": outputs["kld_loss"],
    }
    kept |= {name: tensor for name, tensor in outputs.items() if name.startswith("ensembled.")}
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
