"""What every checkpoint asks of an observation: all there, finite, and in the data's units."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.policy.processors import Floats
from vla_ros.policy.protocol import PolicySpec
from vla_ros.spaces.observation import Observation

_LOGGER = logging.getLogger(__name__)

LOUD_SIGMA = 6.0
"""First observations this far out are warned of."""

ABSURD_SIGMA = 30.0
"""First observations this far out are refused: these are other units."""


class ObservationMismatch(VlaError):
    """An observation that does not fit the checkpoint."""


class FirstLook:
    """Compares the first state of each run with the training data.

    Args:
        names: Of the state vector.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._looked = False

    def reset(self) -> None:
        """A run is over: look at the next state again."""
        self._looked = False

    def check(self, normal: Floats) -> None:
        """Look at a normalised state, unless one of this run was seen. Shape (S,).

        Raises:
            ObservationMismatch: It cannot be in the training data's units.
        """
        if self._looked:
            return
        far = np.abs(normal)
        worst = int(far.argmax())
        text = f"state '{self._names[worst]}' is {far[worst]:.1f} deviations from the training data"
        if far[worst] > ABSURD_SIGMA:
            raise ObservationMismatch(
                f"{text}; are its units (rad or degrees, m or mm) and the names' order those of "
                "the training data?"
            )
        if far[worst] > LOUD_SIGMA:
            _LOGGER.warning("%s: check units and order", text)
        self._looked = True


def checked_state(observation: Observation, spec: PolicySpec) -> npt.NDArray[np.float64]:
    """The state. Shape (S,).

    Raises:
        ObservationMismatch: It has another length or is not finite.
    """
    state = np.asarray(observation.state, np.float64)
    names = spec.state_names
    if state.shape != (len(names),) or not np.isfinite(state).all():
        raise ObservationMismatch(
            f"state: expected {len(names)} finite numbers ({', '.join(names)}), got shape "
            f"{state.shape}: {state}"
        )
    return state


def sized_images(observation: Observation, spec: PolicySpec) -> list[npt.NDArray[np.uint8]]:
    """The images in the network's order and size.

    Raises:
        ObservationMismatch: One is missing or of another type or shape.
    """
    expected = (*spec.image_size, 3)
    for key in spec.camera_keys:
        image = observation.images.get(key)
        got = "nothing" if image is None else f"{image.dtype} of shape {image.shape}"
        if image is None or image.shape != expected or image.dtype != np.uint8:
            raise ObservationMismatch(
                f"camera '{key}': expected uint8 of shape {expected}, got {got}; the robot file's "
                "crop and size must be the checkpoint's"
            )
    return [observation.images[key] for key in spec.camera_keys]


def checked_images(observation: Observation, spec: PolicySpec) -> list[npt.NDArray[np.uint8]]:
    """The images in the network's order, of any size.

    Raises:
        ObservationMismatch: One is missing.
    """
    missing = [key for key in spec.camera_keys if key not in observation.images]
    if missing:
        raise ObservationMismatch(
            f"camera {', '.join(missing)}: no image; expected {list(spec.camera_keys)}, got "
            f"{list(observation.images)}"
        )
    return [observation.images[key] for key in spec.camera_keys]
