"""ACT checkpoints of LeRobot behind the Policy protocol.

Temporal ensembling is an aggregation of plans, not part of the policy: ``BlendWeights(kind=
"ensemble")`` of `vla_ros.chunks.aggregate`. The checkpoint's ``temporal_ensemble_coeff`` travels in
its specification.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vla_ros.policy.checkpoints.declaration import Declaration
from vla_ros.policy.checkpoints.lerobot_folder import ACTION, STATE, LeRobotFolder, read_lerobot
from vla_ros.policy.checkpoints.lerobot_values import LeRobotValues, lerobot_values
from vla_ros.policy.checkpoints.weights import Part, fill
from vla_ros.policy.models.act import Act
from vla_ros.policy.models.act_layers import ActSizes
from vla_ros.policy.models.resnet import BLOCKS
from vla_ros.policy.network_policy import NetworkPolicy
from vla_ros.policy.protocol import PolicyRequest, PolicySpec

_PREFIX = "model."


class ActPolicy(NetworkPolicy[Act]):
    """Answers each observation with the whole chunk; nothing is drawn at random.

    Args:
        model: The network.
        values: Its normalisation.
    """

    def __init__(self, model: Act, values: LeRobotValues) -> None:
        super().__init__(values.spec, model)
        self._values = values

    def infer(self, request: PolicyRequest) -> npt.NDArray[np.float64]:
        """Compute one chunk. Shape (T, A); the prompt has no meaning for ACT.

        Raises:
            ObservationMismatch: An image or the state does not fit, or the first state of a run
                cannot be in the training data's units.
            ValueMismatch: The answer is not finite.
        """
        images = self._values.image_tensor(request.observation)
        state = self._values.state_tensor(request.observation)
        self._first.check(state.numpy())
        return self._values.actions(self._run(images, state))

    def warm_up(self) -> None:
        """Run the network twice on blank input."""
        images = torch.zeros(len(self.spec.camera_keys), 3, *self.spec.image_size)
        for _ in range(2):
            self._run(images, torch.zeros(self._model.sizes.state_dim))

    @torch.inference_mode()
    def _run(self, images: Tensor, state: Tensor) -> Tensor:
        device = self._device
        return self._model(images[None].to(device), state[None].to(device))[0].cpu()


def load(folder: Path, declaration: Declaration, *, threads: int | None) -> ActPolicy:
    """Load an ACT checkpoint.

    Raises:
        VlaError: It cannot be used; the text says why.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    checkpoint = read_lerobot(folder)
    model = load_act(checkpoint)
    coefficient = checkpoint.config.get("temporal_ensemble_coeff")
    values = lerobot_values(
        checkpoint,
        declaration,
        name="act",
        horizon=model.sizes.chunk_size,
        ensemble_m=PolicySpec.ensemble_m if coefficient is None else float(coefficient),
    )
    return ActPolicy(model, values)


def load_act(checkpoint: LeRobotFolder) -> Act:
    """The network with its weights.

    Raises:
        LeRobotError: The configuration is not one we have.
        WeightsError: The weights do not fit it.
    """
    file = checkpoint.weights
    with torch.device("meta"):
        model = Act(act_sizes(checkpoint))
    parts = {name: Part((_PREFIX + name,)) for name in model.state_dict()}
    fill(model, parts, file, ignored=checkpoint.buffers)
    return model


def act_sizes(checkpoint: LeRobotFolder) -> ActSizes:
    """Sizes of the network from config.json and, for the backbone's width, the weights.

    Raises:
        LeRobotError: The configuration is not one we have.
    """
    supported = {
        "n_obs_steps": (1,),
        "replace_final_stride_with_dilation": (False,),
        "vision_backbone": tuple(BLOCKS),
        "feedforward_activation": ("relu", "gelu"),
    }
    for key, known in supported.items():
        checkpoint.one_of(key, known)
    stem = f"{_PREFIX}backbone.conv1.weight"
    if stem not in checkpoint.weights.names:
        raise checkpoint.error(f"the weights hold no '{stem}'; ACT without images is not supported")
    read = {
        field.name: checkpoint.get(field.name, (int, float, str))
        for field in dataclasses.fields(ActSizes)
        if field.name not in ("state_dim", "action_dim", "backbone_width")
    }
    return ActSizes(
        state_dim=checkpoint.dim(STATE),
        action_dim=checkpoint.dim(ACTION),
        backbone_width=checkpoint.weights.shape(stem)[0],
        **read,
    )
