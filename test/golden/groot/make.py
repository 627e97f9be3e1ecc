"""Copy a reference of GR00T's action head here; refuses where ours differs from it.

    python test/golden/groot/make.py REFERENCE

REFERENCE holds ``model.safetensors``, ``inputs.safetensors`` and ``outputs.safetensors``: the head
of GR00T N1.5 in LeRobot 0.4.4's port, small and with random weights.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from vla_ros.policy.families.groot_weights import load_groot_head
from vla_ros.policy.models.groot import GrootSizes

SIZES = GrootSizes(
    backbone_dim=40,
    state_dim=12,
    action_dim=10,
    horizon=8,
    embodiments=4,
    heads=4,
    head_dim=12,
    layers=4,
    hidden=32,
    backbone_heads=4,
    backbone_layers=2,
    future_tokens=6,
    max_rows=64,
)


def main(reference: Path) -> None:
    """Check, then copy."""
    head = load_groot_head(reference / "model.safetensors", SIZES)
    inputs = load_file(reference / "inputs.safetensors")
    outputs = load_file(reference / "outputs.safetensors")
    with torch.inference_mode():
        prefix = head.encode(inputs["backbone_features"], inputs["state"], inputs["embodiment_id"])
        chunk = head.sample(prefix, inputs["noise"])
    print("largest difference of the chunk:", (chunk - outputs["action_pred"]).abs().max().item())
    torch.testing.assert_close(chunk, outputs["action_pred"], atol=1e-4, rtol=0)
    for name in ("model", "inputs", "outputs"):
        file = f"{name}.safetensors"
        shutil.copyfile(reference / file, Path(__file__).with_name(file))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
