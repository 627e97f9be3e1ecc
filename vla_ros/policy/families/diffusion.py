"""Diffusion Policy checkpoints of LeRobot behind the Policy protocol."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vla_ros.policy.checkpoints.declaration import Declaration
from vla_ros.policy.checkpoints.lerobot_folder import ACTION, STATE, LeRobotFolder, read_lerobot
from vla_ros.policy.checkpoints.lerobot_values import LeRobotValues, lerobot_values
from vla_ros.policy.checkpoints.weights import Part, fill
from vla_ros.policy.models.diffusion import Diffusion, DiffusionSizes, condition_dim
from vla_ros.policy.models.diffusion_noise import (
    NoiseSchedule,
    Sampler,
    kept_share,
    squared_cosine,
)
from vla_ros.policy.models.diffusion_unet import UnetSizes
from vla_ros.policy.models.resnet import BLOCKS
from vla_ros.policy.network_policy import NetworkPolicy
from vla_ros.policy.protocol import PolicyRequest

_PREFIX = "diffusion."
_PLACES = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
"""Where torchvision's ResNet has its parts in a row."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How chunks are drawn.

    Attributes:
        schedule: Of the noise.
        sampler: DDPM or DDIM.
        steps: Steps from noise to a chunk.
        horizon: Rows that are drawn.
        rows: Rows that are answered: from the newest observation on.
    """

    schedule: NoiseSchedule
    sampler: Sampler
    steps: int
    horizon: int
    rows: slice


class DiffusionPolicy(NetworkPolicy[Diffusion]):
    """Answers the newest observations with the rows from now on.

    Args:
        model: The network.
        values: Its normalisation.
        sampling: How chunks are drawn.
    """

    def __init__(self, model: Diffusion, values: LeRobotValues, sampling: Sampling) -> None:
        super().__init__(values.spec, model)
        self._values = values
        self._sampling = sampling

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A); the prompt has no meaning for Diffusion Policy.

        Where the request's history is shorter than the policy's, its oldest observation stands in
        for those before.

        Raises:
            ObservationMismatch: An image or a state does not fit, or the first state of a run
                cannot be in the training data's units.
            ValueMismatch: The answer is not finite.
        """
        count = self._model.sizes.n_obs_steps
        seen = [*request.history, request.observation][-count:]
        seen = [seen[0]] * (count - len(seen)) + seen
        images = torch.stack([self._values.image_tensor(observation) for observation in seen])
        states = torch.stack([self._values.state_tensor(observation) for observation in seen])
        self._first.check(states[-1].numpy())
        seed = request.seed if request.seed is not None else secrets.randbits(63)
        return self._values.actions(self._run(images, states, seed))

    def warm_up(self) -> None:
        """Run the network once on blank input."""
        sizes, spec = self._model.sizes, self.spec
        images = torch.zeros(sizes.n_obs_steps, sizes.cameras, 3, *spec.image_size)
        self._run(images, torch.zeros(sizes.n_obs_steps, sizes.state_dim), 0)

    def _run(self, images: Tensor, states: Tensor, seed: int) -> Tensor:
        sampling, device = self._sampling, self._device
        generator = torch.Generator().manual_seed(seed)
        shape = (1, sampling.horizon, self._model.sizes.unet.action_dim)

        def draw() -> Tensor:
            return torch.randn(shape, generator=generator).to(device)

        with torch.inference_mode():
            condition = self._model.condition(images[None].to(device), states[None].to(device))
            chunk = sampling.schedule.sample(
                lambda x, time: self._model.unet(
                    x, torch.full((1,), time, device=device), condition
                ),
                draw(),
                sampler=sampling.sampler,
                steps=sampling.steps,
                draw=draw,
            )
        return chunk[0, sampling.rows].cpu()


def load(folder: Path, declaration: Declaration, *, threads: int | None) -> DiffusionPolicy:
    """Load a Diffusion Policy checkpoint.

    Raises:
        VlaError: It cannot be used; the text says why.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    checkpoint = read_lerobot(folder)
    model, sampling = load_diffusion(checkpoint), read_sampling(checkpoint)
    values = lerobot_values(
        checkpoint,
        declaration,
        name="diffusion",
        horizon=sampling.rows.stop - sampling.rows.start,
        n_obs_steps=model.sizes.n_obs_steps,
    )
    return DiffusionPolicy(model, values, sampling)


def load_diffusion(checkpoint: LeRobotFolder) -> Diffusion:
    """The network with its weights.

    Raises:
        LeRobotError: The configuration is not one we have.
        WeightsError: The weights do not fit it.
    """
    file = checkpoint.weights
    with torch.device("meta"):
        model = Diffusion(_sizes(checkpoint))

    def theirs(name: str) -> str:
        return _PREFIX + re.sub(
            r"(backbone)\.(\w+)", lambda match: f"{match[1]}.{_PLACES[match[2]]}", name, count=1
        )

    parts = {name: Part((theirs(name),)) for name in model.state_dict()}
    counters = {name for name in file.names if name.endswith("num_batches_tracked")}
    fill(model, parts, file, ignored=checkpoint.buffers | counters)
    return model


def read_sampling(checkpoint: LeRobotFolder) -> Sampling:
    """How the checkpoint says chunks are drawn.

    Raises:
        LeRobotError: In a way we do not have.
    """
    train = checkpoint.get("num_train_timesteps", int)
    given = checkpoint.config.get("num_inference_steps")
    steps = train if given is None else given
    horizon, count = checkpoint.get("horizon", int), checkpoint.get("n_action_steps", int)
    first = checkpoint.get("n_obs_steps", int) - 1
    if not 1 <= steps <= train or not 0 < count <= horizon - first:
        raise checkpoint.error(
            f"cannot take {steps} of {train} steps and rows {first} to {first + count} of {horizon}"
        )
    if checkpoint.one_of("beta_schedule", ("squaredcos_cap_v2", "linear")) == "linear":
        start, end = checkpoint.get("beta_start", float), checkpoint.get("beta_end", float)
        betas = torch.linspace(start, end, train)
    else:
        betas = squared_cosine(train)
    clip = checkpoint.get("clip_sample_range", (int, float))
    return Sampling(
        schedule=NoiseSchedule(
            kept=kept_share(betas),
            prediction=checkpoint.one_of("prediction_type", ("epsilon", "sample")),
            clip=float(clip) if checkpoint.get("clip_sample", bool) else None,
        ),
        sampler=checkpoint.one_of("noise_scheduler_type", ("DDPM", "DDIM")),
        steps=steps,
        horizon=horizon,
        rows=slice(first, first + count),
    )


def _sizes(checkpoint: LeRobotFolder) -> DiffusionSizes:
    checkpoint.one_of("resize_shape", (None,))
    separate = checkpoint.get("use_separate_rgb_encoder_per_camera", bool)
    stem = f"{_PREFIX}rgb_encoder{'.0' if separate else ''}.backbone.0.weight"
    if stem not in checkpoint.weights.names:
        raise checkpoint.error(f"the weights hold no '{stem}'; it needs at least one camera")
    crop = tuple(checkpoint.config.get("crop_shape") or checkpoint.image_size)
    if any(want > have for want, have in zip(crop, checkpoint.image_size, strict=True)):
        raise checkpoint.error(f"a crop of {crop} does not fit images of {checkpoint.image_size}")
    state_dim, cameras = checkpoint.dim(STATE), len(checkpoint.cameras)
    n_obs_steps = checkpoint.get("n_obs_steps", int)
    keypoints = checkpoint.get("spatial_softmax_num_keypoints", int)
    return DiffusionSizes(
        state_dim=state_dim,
        cameras=cameras,
        n_obs_steps=n_obs_steps,
        crop_shape=(crop[0], crop[1]),
        use_separate_rgb_encoder_per_camera=separate,
        spatial_softmax_num_keypoints=keypoints,
        use_group_norm=checkpoint.get("use_group_norm", bool),
        vision_backbone=checkpoint.one_of("vision_backbone", tuple(BLOCKS)),
        backbone_width=checkpoint.weights.shape(stem)[0],
        unet=UnetSizes(
            action_dim=checkpoint.dim(ACTION),
            condition_dim=condition_dim(
                state_dim=state_dim,
                cameras=cameras,
                n_obs_steps=n_obs_steps,
                keypoints=keypoints,
            ),
            down_dims=tuple(checkpoint.get("down_dims", list)),
            kernel_size=checkpoint.get("kernel_size", int),
            n_groups=checkpoint.get("n_groups", int),
            diffusion_step_embed_dim=checkpoint.get("diffusion_step_embed_dim", int),
            use_film_scale_modulation=checkpoint.get("use_film_scale_modulation", bool),
        ),
    )
