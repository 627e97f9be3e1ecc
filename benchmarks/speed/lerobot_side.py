"""LeRobot's network in a process of its own, in LeRobot's environment.

    PEER_PYTHON -m benchmarks.speed.lerobot_side FOLDER

The environment holds torch, LeRobot 0.4.4 and transformers 4.53.2 with the five files that openpi
replaces in it (LeRobot's pi0 asks for them). The network is LeRobot's own class of the real size,
asked through its own `sample_actions`; only what would need a network connection is given here:
SmolVLM2's configuration and three token numbers.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.speed.answering import answer, say
from benchmarks.speed.case import Case, read


def smolvla(case: Case) -> nn.Module:
    """SmolVLA: VLM and expert in the case's type, the small projections in float32."""
    from lerobot.policies.smolvla import smolvlm_with_expert as parts
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
    from lerobot.policies.smolvla.modeling_smolvla import VLAFlowMatching
    from transformers import SmolVLMConfig

    text = {
        "model_type": "llama",
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": case.language_layers,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "head_dim": 64,
        "vocab_size": 49_280,
        "rms_norm_eps": 1e-5,
        "rope_theta": 100_000,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
        "pad_token_id": 2,
    }
    vision = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": case.vision_layers,
        "num_attention_heads": 12,
        "image_size": 512,
        "patch_size": 16,
    }
    config = SmolVLMConfig(text_config=text, vision_config=vision, scale_factor=4)
    tokens = SimpleNamespace(fake_image_token_id=49_189, global_image_token_id=49_152)
    given = SimpleNamespace(from_pretrained=lambda name: config)
    parts.AutoConfig = given
    parts.AutoProcessor = SimpleNamespace(
        from_pretrained=lambda name: SimpleNamespace(tokenizer=tokens)
    )
    model = VLAFlowMatching(SmolVLAConfig(num_vlm_layers=case.language_layers, device="cpu"))
    model.vlm_with_expert.to(getattr(torch, case.dtype))
    return model


def pi0(case: Case) -> nn.Module:
    """pi0 with LeRobot's own choice of what stays float32."""
    from lerobot.policies.pi0 import modeling_pi0
    from lerobot.policies.pi0.configuration_pi0 import PI0Config

    real = modeling_pi0.get_gemma_config

    def config_of(variant: str) -> object:
        config = real(variant)
        config.depth = case.language_layers
        return config

    mapping = modeling_pi0.CONFIG_MAPPING

    class Shallow:
        """transformers' table of configurations, with fewer layers in the image encoder."""

        def __getitem__(self, name: str) -> object:
            def make(**values: object) -> object:
                config = mapping[name](**values)
                if name == "paligemma":
                    config.vision_config.num_hidden_layers = case.vision_layers
                return config

            return make

    modeling_pi0.get_gemma_config = config_of
    modeling_pi0.CONFIG_MAPPING = Shallow()
    torch.set_default_dtype(getattr(torch, case.dtype))
    model = modeling_pi0.PI0Pytorch(PI0Config(dtype=case.dtype, device="cpu"))
    torch.set_default_dtype(torch.float32)
    for child in model.children():
        if isinstance(child, nn.Linear):
            child.float()
    model.paligemma_with_expert.gemma_expert.lm_head = None
    return model


def load(model: nn.Module, path: Path) -> None:
    """Copy the file's tensors into the network, each once."""
    own = dict(model.named_parameters(remove_duplicate=False))
    done = set()
    with safe_open(path, framework="pt") as file:
        for name in list(file.keys()):
            target = own[name.removeprefix("model.")]
            target.data.copy_(file.get_tensor(name))
            done.add(target.data_ptr())
    left = {name for name, tensor in own.items() if tensor.data_ptr() not in done}
    unused = ("lm_head.weight", "text_model.norm.weight", "language_model.norm.weight")
    assert all(name.endswith(unused) for name in left), left


def nothing(tensor: Tensor, *values: object, **names: object) -> Tensor:
    """In place of torch's random values, which the file replaces."""
    return tensor


def main() -> None:
    """Load, then answer."""
    folder = Path(sys.argv[1])
    case = read(folder)
    torch.set_num_threads(case.threads)
    for name in ("uniform_", "normal_", "kaiming_uniform_", "xavier_uniform_", "trunc_normal_"):
        setattr(nn.init, name, nothing)
    start = time.perf_counter()
    model = (smolvla if case.family == "smolvla" else pi0)(case).eval()
    load(model, folder / "model.safetensors")
    inputs = load_file(folder / "inputs.safetensors")
    images = list(inputs["images"][:, None])
    present = [torch.ones(1, dtype=torch.bool) for _ in images]
    words, said = inputs["words"], torch.arange(case.padded_words)[None] < case.words

    def sample(words: Tensor, said: Tensor) -> Tensor:
        out: Tensor = model.sample_actions(
            images, present, words, said, inputs["state"], noise=inputs["noise"]
        )
        return out

    say(load_s=time.perf_counter() - start)
    with torch.no_grad():
        sample(words, said)
    answer(folder, lambda: sample(words, said), {})


if __name__ == "__main__":
    main()
