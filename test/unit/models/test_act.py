"""ACT: the network and its ensembling against LeRobot's answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot_golden import golden_folder
from safetensors.torch import load_file
from torch import Tensor, nn

from vla_ros.chunks import BlendWeights, Plan, blend, standing
from vla_ros.policy.checkpoints.lerobot_folder import ACTION
from vla_ros.policy.models.act import Act, act_loss
from vla_ros.policy.models.act_layers import ActSizes
from vla_ros.spaces import VectorSpace

GOLDEN = Path(__file__).parents[2] / "golden" / "act" / "golden.safetensors"
SIZES = ActSizes(
    state_dim=7,
    action_dim=7,
    chunk_size=12,
    dim_model=32,
    n_heads=4,
    dim_feedforward=64,
    n_encoder_layers=2,
    n_vae_encoder_layers=2,
    latent_dim=8,
    backbone_width=16,
)


class Recorded(nn.Module):
    """Answers with recorded feature maps instead of running a backbone."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> Tensor:
        assert len(images) == len(self.features)
        return self.features


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN)


@pytest.fixture(scope="module")
def model(golden: dict[str, Tensor]) -> Act:
    model = Act(SIZES)
    model.backbone = Recorded(golden["features"])  # type: ignore[assignment]
    prefix = "weights."
    weights = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
    model.load_state_dict(weights)
    return model.eval()


IMAGES = torch.zeros(2, 2, 3, 1, 1)


def test_a_chunk_is_lerobots(model: Act, golden: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        chunk = model(IMAGES, golden["state"])
    torch.testing.assert_close(chunk, golden["chunk"], atol=1e-4, rtol=0)


def test_actions_in_the_robots_units_are_lerobots(golden: dict[str, Tensor]) -> None:
    normaliser = golden_folder(GOLDEN.parent, golden).normaliser(ACTION)
    actions = normaliser.invert(golden["chunk"].numpy())
    np.testing.assert_allclose(actions, golden["robot"].numpy(), atol=1e-5)


def test_the_loss_is_lerobots(model: Act, golden: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        loss = act_loss(
            model, IMAGES, golden["state"], golden["actions"], golden["padding"], golden["noise"]
        )
    for ours, name in ((loss.total, "loss"), (loss.l1, "l1"), (loss.kl, "kl")):
        torch.testing.assert_close(ours, golden[name], atol=1e-4, rtol=1e-5)


def test_padded_rows_change_neither_loss_nor_latent(model: Act, golden: dict[str, Tensor]) -> None:
    other = golden["actions"].clone()
    assert golden["padding"].any()
    other[golden["padding"]] += 5.0
    arguments = golden["padding"], golden["noise"]
    with torch.inference_mode():
        a = act_loss(model, IMAGES, golden["state"], golden["actions"], *arguments)
        b = act_loss(model, IMAGES, golden["state"], other, *arguments)
    torch.testing.assert_close(a.total, b.total, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("m", [0.01, 0.0, -0.1])
def test_ensembling_one_row_at_a_time_is_lerobots(m: float, golden: dict[str, Tensor]) -> None:
    stream = golden["stream"][:, 0].double().numpy()
    expected = golden[f"ensembled.m{m}"][:, 0].double().numpy()
    weights = BlendWeights(kind="ensemble", m=m, ramp_ns=0)
    space = VectorSpace.of(("arm", "position", [f"j{i}" for i in range(stream.shape[2])]))
    rows, counts = stream[0], standing(weights, stream.shape[1], 1, "hold")
    out = [rows[0]]
    for k, new in enumerate(stream[1:]):
        before = Plan(
            run_id=bytes(16),
            epoch=1,
            seq=k,
            spec_hash=0,
            t_obs_ns=k,
            start_ns=k,
            dt_ns=1,
            valid_from_ns=k,
            actions=rows,
            interpolation="hold",
        )
        rows, counts = blend(
            new, k + 1, 1, before, counts, space=space, weights=weights, from_ns=k + 1
        )
        out.append(rows[0])
    np.testing.assert_allclose(np.stack(out), expected, atol=1e-5)
