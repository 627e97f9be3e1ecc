"""pi0, pi0.5 and SmolVLA against their authors' code, on tiny random weights.

The vectors come from LeRobot 0.4.4 (see make_policies.py). Their network outputs belong to images
with LeRobot 0.4's letterbox borders; what is called `modern` follows openpi and LeRobot from 0.6.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from vla_ros.chunks.rtc import Jacobian
from vla_ros.policy.flow_policy import FlowPolicy
from vla_ros.policy.load import load_policy
from vla_ros.policy.models.flow import (
    FlowGuidance,
    Velocity,
    euler_sample,
    interpolate,
    target_velocity,
)
from vla_ros.policy.models.gated import CrossAttention
from vla_ros.policy.models.prefix_expert import Prefix, PrefixExpert, PrefixInputs
from vla_ros.policy.processors.letterbox import Letterbox
from vla_ros.policy.processors.prompt import StatePrompt

HERE = Path(__file__).parent
MODELS = ("pi0", "pi05", "smolvla")
SCHEDULES = ("ZEROS", "ONES", "LINEAR", "EXP")


@dataclass(frozen=True)
class Golden:
    """A loaded policy beside the vectors of its authors' code."""

    policy: FlowPolicy
    network: PrefixExpert
    inputs: PrefixInputs
    prefix: Prefix
    vectors: dict[str, Tensor]
    tasks: tuple[str, str]

    @property
    def cameras(self) -> list[str]:
        """Those that are there."""
        prefix = "raw.observation.images."
        return [f"{prefix}{key}" for key in self.policy.spec.camera_keys]

    def images(self, letterbox: Letterbox) -> Tensor:
        """Shape (2, C, 3, H, W), the absent camera black."""
        seen = [
            np.stack([letterbox.apply(x.permute(1, 2, 0).numpy()) for x in self.vectors[key]])
            for key in self.cameras
        ]
        seen.append(np.full_like(seen[0], -1.0))
        return torch.from_numpy(np.stack(seen, axis=1))


@cache
def golden(name: str) -> Golden:
    policy = load_policy(str(HERE / name / "checkpoint"))
    assert isinstance(policy, FlowPolicy)
    vectors = load_file(HERE / name / "vectors.safetensors")
    tasks = tuple(json.loads((HERE / name / "tasks.json").read_text()))
    half = Golden(policy, policy._model, None, None, vectors, tasks)
    inputs = PrefixInputs(
        images=half.images(replace(policy._processors.letterbox, border=border_of_0_4(name))),
        words=vectors["tokens"],
        state=vectors["state_normalized_padded"],
        present=torch.stack([vectors[f"image_mask.{k}"] for k in range(3)], dim=1),
        said=vectors["token_mask"],
    )
    with torch.no_grad():
        prefix = half.network.encode(inputs)
    return replace(half, inputs=inputs, prefix=prefix)


def border_of_0_4(name: str) -> float:
    return -1.0 if name == "smolvla" else -3.0


def close(ours: Tensor, theirs: Tensor, bound: float) -> None:
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) < bound


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_s_prefix_keys_and_values_are_the_authors(name):
    g = golden(name)
    valid = g.vectors["prefix_pad_masks"][:, None, :, None]
    count = valid.shape[2]
    for layer, block in enumerate(g.network.get_submodule("expert")):
        theirs = g.vectors[f"prefix_k.{layer}"], g.vectors[f"prefix_v.{layer}"]
        if name == "smolvla":
            theirs = theirs[0].transpose(1, 2), theirs[1].transpose(1, 2)
        if isinstance(block.attention, CrossAttention):
            theirs = block.attention.keys_values(theirs)  # what such a layer reads is made of them
        ours = g.prefix.cache.keys[layer], g.prefix.cache.values[layer]
        for our_part, their_part in zip(ours, theirs, strict=True):
            close(our_part[:, :, :count] * valid, their_part * valid, 2e-5)


@pytest.mark.parametrize("camera", [0, 1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_what_an_image_amounts_to_is_the_authors(name, camera):
    g = golden(name)
    with torch.no_grad():
        ours = g.network.image_tokens(g.inputs.images[:, camera : camera + 1])
    close(ours, g.vectors[f"image_tokens.{camera}"], 2e-5)


@pytest.mark.parametrize("time", ["1.0", "0.7", "0.3", "0.1"])
@pytest.mark.parametrize("name", MODELS)
def test_the_velocity_is_the_authors(name, time):
    g = golden(name)
    with torch.no_grad():
        ours = g.network.velocity(g.prefix, g.vectors["noise"], torch.full((2, 10), float(time)))
    close(ours, g.vectors[f"velocity.t{time}"], 2e-5)


@pytest.mark.parametrize("steps", [1, 4, 10])
@pytest.mark.parametrize("name", MODELS)
def test_a_sampled_chunk_is_the_authors(name, steps):
    g = golden(name)
    with torch.no_grad():
        ours = g.network.sample(g.prefix, g.vectors["noise"], g.network.schedule(steps))
    close(ours, g.vectors[f"sampled_chunk.steps{steps}"], 1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_every_step_from_noise_to_a_chunk_is_the_authors(name):
    g = golden(name)
    field, path = field_of(g), []

    def followed(x: Tensor, time: float) -> Tensor:
        path.append(x)
        return field(x, time)

    with torch.no_grad():
        path.append(euler_sample(followed, g.vectors["noise"], num_steps=10))
    close(torch.stack(path), g.vectors["euler_trajectory.steps10"], 1e-4)


def field_of(g: Golden) -> Velocity:
    return lambda x, time: g.network.velocity(g.prefix, x, torch.full(x.shape[:2], time))


@pytest.mark.parametrize("name", MODELS)
def test_the_training_loss_is_the_authors(name):
    g = golden(name)
    assert_loss(g, g.prefix, g.vectors["loss_elements"])


@pytest.mark.parametrize("name", ["pi0", "pi05"])
def test_the_training_loss_with_modern_images_and_words_is_the_authors(name):
    g = golden(name)
    inputs = g.inputs._replace(
        images=g.images(g.policy._processors.letterbox),
        words=g.vectors["modern.tokens"],
        said=g.vectors["modern.token_mask"],
    )
    with torch.no_grad():
        prefix = g.network.encode(inputs)
    assert_loss(g, prefix, g.vectors["modern.loss_elements"])


def assert_loss(g: Golden, prefix: Prefix, theirs: Tensor) -> None:
    actions, noise = g.vectors["action_normalized_padded"], g.vectors["noise"]
    time = g.vectors["time"][:, None].expand(noise.shape[:-1])
    with torch.no_grad():
        velocity = g.network.velocity(prefix, interpolate(actions, noise, time), time)
    error = (velocity - target_velocity(actions, noise)).square()
    assert torch.allclose(error, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("jacobian", ["none", "full"])
@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("name", MODELS)
def test_guidance_gives_the_authors_chunk(name, weights, jacobian):
    g = golden(name)
    guidance = guidance_of(g, weights, jacobian)
    with torch.no_grad():
        ours = g.network.sample(g.prefix, g.vectors["noise"], g.network.schedule(10), guidance)
    close(ours, g.vectors[f"{'vjp' if jacobian == 'full' else 'peer'}_chunk.{weights}"], 2e-4)


def guidance_of(g: Golden, weights: str, jacobian: Jacobian) -> FlowGuidance:
    left = g.vectors["prev_chunk_left_over"]
    return FlowGuidance(
        target=torch.nn.functional.pad(left, (0, 0, 0, 10 - left.shape[1])),
        weights=g.vectors[f"weights.{weights}"],
        max_weight=float(g.vectors["max_guidance_weight"]),
        jacobian=jacobian,
    )


@pytest.mark.parametrize("time", ["0.9", "0.5", "0.1"])
@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("name", ["pi0", "pi05"])
def test_guidance_bends_the_velocity_as_the_authors_does(name, weights, time):
    g = golden(name)
    guided = guidance_of(g, weights, "none").steer(field_of(g))
    with torch.no_grad():
        ours = guided(g.vectors["noise"], float(time))
    close(ours, g.vectors[f"peer_guided_velocity.{weights}.t{time}"], 2e-4)


@pytest.mark.parametrize("weights", SCHEDULES)
@pytest.mark.parametrize("name", ["pi0", "pi05"])
def test_guidance_through_the_jacobian_bends_the_first_velocity_as_the_authors_does(name, weights):
    g = golden(name)
    guided = guidance_of(g, weights, "full").steer(field_of(g))
    with torch.no_grad():
        ours = guided(g.vectors["noise"], 1.0)
    close(ours, g.vectors[f"vjp_velocity_first.{weights}"], 2e-4)


@pytest.mark.parametrize("name", MODELS)
def test_from_camera_to_command_all_is_the_authors(name):
    """Raw images, task and state -> actions in the robot's units, without any padding."""
    g = golden(name)
    modern = "" if name == "smolvla" else "modern."
    processors = g.policy._processors
    for sample, task in enumerate(g.tasks):
        images = [g.vectors[key][sample].permute(1, 2, 0).numpy() for key in g.cameras]
        state = g.vectors["raw.observation.state"][sample].numpy()
        normal = processors.state.apply(state)
        inputs = processors.inputs(images, normal.astype(np.float32), task)
        words = g.vectors[f"{modern}tokens"][sample]
        said = g.vectors[f"{modern}token_mask"][sample]
        assert torch.equal(inputs.words[0], words[said])
        noise = g.vectors["noise"][sample : sample + 1]
        with torch.no_grad():
            prefix = g.network.encode(inputs)
            chunk = g.network.sample(prefix, noise, g.network.schedule(10))
        close(chunk[0], g.vectors[f"{modern}sampled_chunk.steps10"][sample], 1e-4)
        actions = processors.to_robot(chunk[0].numpy(), state.astype(np.float64))
        theirs = g.vectors[f"{modern}postprocessed_chunk"][sample].numpy()
        np.testing.assert_allclose(actions, theirs, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_actions_come_back_as_they_went_in(name):
    g = golden(name)
    processors = g.policy._processors
    for sample in range(2):
        actions = g.vectors["raw.action"][sample].numpy().astype(np.float64)
        state = g.vectors["raw.observation.state"][sample].numpy().astype(np.float64)
        normal = processors.to_network(actions, state)
        close(torch.from_numpy(normal), g.vectors["action_normalized_padded"][sample], 1e-5)
        np.testing.assert_allclose(processors.to_robot(normal, state), actions, atol=1e-5)


def test_the_prompt_of_lerobot_0_4_lists_the_padded_state():
    g = golden("pi05")
    normal = g.vectors["state_normalized_padded"][0, :7].numpy()
    new = StatePrompt().apply(g.tasks[0], normal)
    old = StatePrompt(32).apply(g.tasks[0], normal)
    assert new == "Task: pick up the red cube, State: 80 119 92 140 125 152 174;\nAction: "
    assert old == new.replace(";", " 128" * 25 + ";")


@pytest.mark.parametrize("size", [56, 64])
@pytest.mark.parametrize("image", [0, 1, 2])
def test_images_are_shrunk_as_each_of_the_authors_does(image, size):
    vectors = load_file(HERE / "preprocess" / "vectors.safetensors")
    raw = vectors[f"uint8.{image}"].numpy()
    edges = {"height": size, "width": size}
    pil = Letterbox(**edges, resize="pil").apply(raw)
    theirs = (
        vectors[f"openpi_pil_uint8.{image}.{size}"].permute(2, 0, 1).float() / 255.0 * 2.0 - 1.0
    )
    close(torch.from_numpy(pil), theirs, 1e-6)
    corner = Letterbox(**edges, corner=True).apply(raw)
    close(torch.from_numpy(corner), vectors[f"smolvla.{image}.{size}"][0], 1e-6)
    old = Letterbox(**edges, border=-3.0).apply(raw)
    close(torch.from_numpy(old), vectors[f"lerobot_0_4_4_pi0.{image}.{size}"][0], 1e-6)
