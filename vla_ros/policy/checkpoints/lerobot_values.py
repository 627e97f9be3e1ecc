"""Observations into the normalised tensors of a LeRobot policy, and its answers back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.declaration import Declaration
from vla_ros.policy.checkpoints.lerobot_folder import ACTION, IMAGE, STATE, LeRobotFolder
from vla_ros.policy.checkpoints.weights import model_id
from vla_ros.policy.first_look import checked_state, sized_images
from vla_ros.policy.processors import Normaliser
from vla_ros.policy.protocol import PolicySpec
from vla_ros.spaces.observation import Observation


class ValueMismatch(VlaError):
    """An answer that must not move a robot."""


@dataclass(frozen=True, kw_only=True)
class LeRobotValues:
    """Between the robot's and the network's values.

    Attributes:
        spec: What the policy needs.
        images: One for each camera of ``spec``.
        state: Of the state vector.
        action: Of the action vector.
    """

    spec: PolicySpec
    images: tuple[Normaliser, ...]
    state: Normaliser
    action: Normaliser

    def image_tensor(self, observation: Observation) -> Tensor:
        """All cameras, float32, Shape (C, 3, H, W).

        Raises:
            ObservationMismatch: An image is missing or of another type or shape.
        """
        stack = []
        images = sized_images(observation, self.spec)
        for image, normaliser in zip(images, self.images, strict=True):
            unit = image.transpose(2, 0, 1).astype(np.float32) / np.float32(255.0)
            stack.append(normaliser.apply(unit))
        return torch.from_numpy(np.stack(stack).astype(np.float32))

    def state_tensor(self, observation: Observation) -> Tensor:
        """float32, Shape (S,).

        Raises:
            ObservationMismatch: The state has another length or is not finite.
        """
        state = checked_state(observation, self.spec).astype(np.float32)
        return torch.from_numpy(self.state.apply(state).astype(np.float32))

    def actions(self, normal: Tensor) -> npt.NDArray[np.float64]:
        """The network's rows in the robot's units. Shape (T, A) -> same.

        Raises:
            ValueMismatch: They are not finite.
        """
        out = np.asarray(self.action.invert(normal.numpy()), np.float64)
        if not np.isfinite(out).all():
            raise ValueMismatch("the network's answer holds NaN or infinity; nothing is sent")
        return out


def lerobot_values(
    folder: LeRobotFolder,
    declaration: Declaration,
    *,
    name: str,
    horizon: int,
    n_obs_steps: int = 1,
    ensemble_m: float = 0.01,
) -> LeRobotValues:
    """Build the specification and the normalisers of a checkpoint.

    Args:
        folder: The checkpoint.
        declaration: Names and timing.
        name: Kind of policy.
        horizon: Rows it answers with.
        n_obs_steps: Observations it looks at.
        ensemble_m: Decay of temporal ensembling.

    Raises:
        DeclarationError: Names or timing are missing.
        LeRobotError: Features or statistics do not fit.
    """
    theirs = {key.removeprefix(IMAGE): robot for robot, key in declaration.cameras.items()}
    strange = sorted(theirs.keys() - set(folder.cameras))
    if strange:
        raise folder.error(
            f"the declared cameras {strange} are not among its cameras {list(folder.cameras)}"
        )
    keys = tuple(theirs.get(key, key) for key in folder.cameras)
    spec = PolicySpec(
        name=name,
        model_id=model_id(folder.weights.path),
        camera_keys=keys,
        image_size=folder.image_size,
        state_names=declaration.names("state_names", declaration.state_names, folder.dim(STATE)),
        action_names=declaration.names(
            "action_names", declaration.action_names, folder.dim(ACTION)
        ),
        horizon=horizon,
        contract=declaration.contract(keys),
        n_obs_steps=n_obs_steps,
        ensemble_m=ensemble_m,
    )
    return LeRobotValues(
        spec=spec,
        images=tuple(folder.normaliser(IMAGE + key) for key in folder.cameras),
        state=folder.normaliser(STATE),
        action=folder.normaliser(ACTION),
    )
