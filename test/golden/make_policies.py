"""Makes the golden folders pi0, pi05, smolvla and preprocess from reference vectors.

The reference vectors come from LeRobot 0.4.4 (cross-checked against openpi), run in float32 on one
thread with tiny random weights: for each model a checkpoint as `save_pretrained` writes it, its
inputs, and its outputs. This script keeps what the tests look at, leaves out weights that nobody
needs, and adds the declaration that LeRobot's files lack.

    python test/golden/make_policies.py REFERENCE_FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import yaml
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
UNUSED = ("gemma_expert.lm_head.weight", "vlm.lm_head.weight")
INPUTS = (
    "raw.",
    "noise",
    "time",
    "tokens",
    "token_mask",
    "image_mask",
    "state_norm",
    "action_norm",
)
OUTPUTS = ("prefix_k.", "prefix_v.", "prefix_pad", "velocity.", "sampled_chunk", "loss_elements")
OUTPUTS += ("postprocessed_chunk", "image_tokens.", "euler_trajectory")
RTC = ("prev_chunk", "weights.", "peer_chunk.", "vjp_chunk.", "max_guidance")
RTC += ("peer_guided_velocity.", "vjp_velocity_first.")


def gemma(sizes: dict) -> dict:
    names = {"width": "width", "depth": "layers", "mlp_dim": "hidden", "num_heads": "heads"}
    names |= {"num_kv_heads": "kv_heads", "head_dim": "head_size"}
    return {ours: sizes[theirs] for theirs, ours in names.items()}


def declared_sizes(arch: dict) -> dict:
    names = {"hidden_size": "width", "num_hidden_layers": "layers", "num_attention_heads": "heads"}
    names |= {"intermediate_size": "hidden", "patch_size": "patch"}
    vision = {ours: arch["vision"][theirs] for theirs, ours in names.items()}
    if "paligemma" in arch:
        vision["image"] = arch["vision"]["image_size"]
        both = {"language": gemma(arch["paligemma"]), "expert": gemma(arch["action_expert"])}
        return {"vision": vision, **both, "words": arch["paligemma"]["vocab_size"]}
    names.pop("num_hidden_layers"), names.pop("patch_size")
    names |= {"num_key_value_heads": "kv_heads", "head_dim": "head_size"}
    text = {ours: arch["text"][theirs] for theirs, ours in names.items()}
    expert = {"hidden": arch["expert"]["intermediate_size"]}
    return {
        "vision": vision,
        "language": text,
        "expert": expert,
        "words": arch["text"]["vocab_size"],
    }


def copy_model(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source / "checkpoint", target / "checkpoint")
    arch = json.loads((target / "checkpoint" / "tiny_arch.json").read_text())
    (target / "checkpoint" / "tiny_arch.json").unlink()
    path = target / "checkpoint" / "model.safetensors"
    weights = {k: v for k, v in load_file(path).items() if not k.endswith(UNUSED)}
    save_file(weights, path, metadata={"format": "pt"})
    (target / "checkpoint" / "tokenizer").mkdir()
    shutil.copy(source / "tokenizer" / "tokenizer.json", target / "checkpoint" / "tokenizer")
    config = json.loads((target / "checkpoint" / "config.json").read_text())
    features = config["input_features"]
    dim = features["observation.state"]["shape"][0]
    options = {"sizes": declared_sizes(arch)}
    if config["type"] == "smolvla":
        options["shifted_positions"] = True  # transformers 4.57, float32
    declaration = {
        "state_names": [f"joint{i}" for i in range(dim)],
        "action_names": [f"joint{i}" for i in range(dim)],
        "image_size": [48, 64],
        "rate_hz": 20,
        "options": options,
    }
    (target / "checkpoint" / "vla.yaml").write_text(yaml.safe_dump(declaration, sort_keys=False))
    kept = {}
    for name, wanted in (("inputs", INPUTS), ("outputs", OUTPUTS), ("rtc", RTC), ("modern", None)):
        file = source / f"{name}.safetensors"
        for key, tensor in load_file(file).items() if file.is_file() else ():
            if wanted is None and not key.startswith("image"):
                kept[f"modern.{key}"] = tensor
            elif wanted is not None and key.startswith(wanted):
                kept[key] = tensor
    save_file(kept, target / "vectors.safetensors")
    prompts = json.loads((source / "README.json").read_text())["tasks"]
    (target / "tasks.json").write_text(json.dumps(prompts) + "\n")


def main() -> None:
    reference = Path(sys.argv[1])
    for name in ("pi0", "pi05", "smolvla"):
        copy_model(reference / name, HERE / name)
    target = HERE / "preprocess"
    target.mkdir(exist_ok=True)
    shutil.copy(reference / "preprocess" / "vectors.safetensors", target)


if __name__ == "__main__":
    main()
