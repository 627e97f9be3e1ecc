"""Make golden.safetensors: what LeRobot's image encoders answer on weights that `pattern` gives.

    python test/golden/backbones/make.py     # where LeRobot 0.4.4 is installed

The encoders are those of its ACT and Diffusion Policy, built by its own classes with a quarter of
ResNet-18's channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torchvision
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACT
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionRgbEncoder
from pattern import patterned
from safetensors.torch import save_file
from torch import nn
from torchvision.models.resnet import ResNet

HEIGHT, WIDTH, CROP = 96, 127, (85, 110)
TOP = "observation.images.top"
_stage = ResNet._make_layer


def _quarter_stage(self: Any, block: Any, planes: int, *rest: Any, **more: Any) -> nn.Module:
    if self.inplanes == 64 and planes == 64:
        self.inplanes = 16
        self.conv1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False)
        self.bn1 = self._norm_layer(16)
    return _stage(self, block, planes // 4, *rest, **more)


def _answer(network: nn.Module, images: torch.Tensor) -> Any:
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.endswith(("num_batches_tracked", "pos_grid"))
    }
    missing, unknown = network.load_state_dict(patterned(shapes), strict=False)
    assert not unknown
    assert all(name.endswith(("num_batches_tracked", "pos_grid")) for name in missing)
    with torch.inference_mode():
        return network.eval()(images)


def main() -> None:
    """Run both, and write."""
    ResNet._make_layer = _quarter_stage
    features = {
        "observation.state": PolicyFeature(FeatureType.STATE, (3,)),
        TOP: PolicyFeature(FeatureType.VISUAL, (3, HEIGHT, WIDTH)),
    }
    action = {"action": PolicyFeature(FeatureType.ACTION, (3,))}
    common = {"input_features": features, "output_features": action, "device": "cpu"}
    _fc_of_a_quarter()
    act = ACT(ACTConfig(**common, pretrained_backbone_weights=None, dim_model=32, n_heads=4))
    config = DiffusionConfig(
        **common, crop_shape=CROP, crop_is_random=False, spatial_softmax_num_keypoints=5
    )
    images = torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    out = {
        "images": images,
        "act": _answer(act.backbone, images)["feature_map"],
        "diffusion": _answer(DiffusionRgbEncoder(config), images),
    }
    print({name: (tuple(x.shape), float(x.std())) for name, x in out.items()})
    out = {name: tensor.contiguous() for name, tensor in out.items()}
    save_file(out, Path(__file__).with_name("golden.safetensors"))


def _fc_of_a_quarter() -> None:
    """ACT asks the last, unused layer how many channels the one before it has."""
    resnet18 = torchvision.models.resnet18

    def quarter(**options: Any) -> nn.Module:
        network = resnet18(**options)
        network.fc = nn.Linear(128, 1)
        return network

    torchvision.models.resnet18 = quarter


if __name__ == "__main__":
    main()
