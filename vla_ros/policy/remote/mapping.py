"""Between a robot file's names and the keys that a served checkpoint expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import PolicyRequest, PolicySpec

UNUSED = ""


class MappingError(VlaError):
    """Keys and names that do not fit together."""


@dataclass(frozen=True, kw_only=True)
class KeyMap:
    """Which of our values goes under which key, and what the server's columns mean.

    A dot in a key nests: ``images.cam_high`` is the entry ``cam_high`` of the map ``images``.
    Slashes are part of a key, as in openpi's DROID and LIBERO configurations.

    Attributes:
        images: For each camera key the server's key.
        state: For each of the server's keys the state names whose values it takes, in order.
        actions: For each column of the server's actions our action name; empty where unused.
        flipped: Action names whose value v means 1 - v at the server (a gripper where 1 closes).
        degrees: State and action names that are degrees at the server, radians here.
        prompt: The server's key of the prompt.
        channels_first: Send images as (3, H, W) rather than (H, W, 3).
    """

    images: Mapping[str, str]
    state: Mapping[str, tuple[str, ...]]
    actions: tuple[str, ...]
    flipped: tuple[str, ...] = field(default=())
    degrees: tuple[str, ...] = field(default=())
    prompt: str = "prompt"
    channels_first: bool = False

    def check(self, spec: PolicySpec) -> None:
        """Make sure that every name exists and every action has its column.

        Raises:
            MappingError: With every mismatch.
        """
        problems = [
            f"image '{key}' is no camera of the policy ({', '.join(spec.camera_keys) or 'none'})"
            for key in self.images
            if key not in spec.camera_keys
        ]
        problems += [
            f"camera '{key}' has no key at the server"
            for key in spec.camera_keys
            if key not in self.images
        ]
        problems += [
            f"state '{name}' ('{key}') is unknown; expected one of {', '.join(spec.state_names)}"
            for key, names in self.state.items()
            for name in names
            if name not in spec.state_names
        ]
        used = [name for name in self.actions if name != UNUSED]
        problems += [
            f"action '{name}' has {used.count(name)} columns at the server, expected one"
            for name in spec.action_names
            if used.count(name) != 1
        ]
        problems += [
            f"action '{name}' is unknown; expected one of {', '.join(spec.action_names)}"
            for name in dict.fromkeys((*used, *self.flipped))
            if name not in spec.action_names
        ]
        problems += [
            f"'{name}' (in degrees) is unknown"
            for name in self.degrees
            if name not in (*spec.state_names, *spec.action_names)
        ]
        if problems:
            raise MappingError("the key map does not fit the robot: " + "; ".join(problems))

    def encode(self, request: PolicyRequest, spec: PolicySpec) -> dict[str, Any]:
        """The observation as the server expects it."""
        observation = request.observation
        values: dict[str, Any] = {}
        for camera, key in self.images.items():
            image = observation.images[camera]
            _put(values, key, np.moveaxis(image, -1, 0) if self.channels_first else image)
        state = observation.state * self._units(spec.state_names)
        for key, names in self.state.items():
            columns = [spec.state_names.index(name) for name in names]
            _put(values, key, state[columns].astype(np.float32))
        _put(values, self.prompt, request.prompt)
        return values

    def decode(self, actions: npt.NDArray[Any], spec: PolicySpec) -> npt.NDArray[np.float64]:
        """The server's actions in our order, cut to our horizon. Shape (T, A).

        Raises:
            MappingError: Another number of columns, or fewer rows than the horizon.
        """
        if actions.ndim != 2 or actions.shape[1] != len(self.actions):
            raise MappingError(
                f"the server answered with actions of shape {actions.shape}, expected "
                f"(T, {len(self.actions)}) for the columns {list(self.actions)}; "
                "correct the key map, or serve the configuration made for this robot"
            )
        if actions.shape[0] < spec.horizon:
            raise MappingError(
                f"the server answered with {actions.shape[0]} rows, expected at least the horizon "
                f"of {spec.horizon}; lower the horizon"
            )
        columns = [self.actions.index(name) for name in spec.action_names]
        chunk = np.array(actions[: spec.horizon, columns], dtype=np.float64)
        for name in self.flipped:
            column = spec.action_names.index(name)
            chunk[:, column] = 1.0 - chunk[:, column]
        return chunk / self._units(spec.action_names)

    def understand(self, values: Mapping[str, Any], spec: PolicySpec) -> dict[str, Any]:
        """Inverse of `encode`: what came under the server's keys, under ours.

        Raises:
            MappingError: A key is missing, or a state has another length.
        """
        images = {camera: _get(values, key) for camera, key in self.images.items()}
        elements: dict[str, float] = {}
        for key, names in self.state.items():
            numbers = np.asarray(_get(values, key), np.float64).reshape(-1)
            if len(numbers) != len(names):
                raise MappingError(
                    f"'{key}' has {len(numbers)} numbers, expected {', '.join(names)}"
                )
            elements.update(zip(names, numbers, strict=True))
        missing = [name for name in spec.state_names if name not in elements]
        if missing:
            raise MappingError(f"the key map has no key for the state {', '.join(missing)}")
        state = np.array([elements[name] for name in spec.state_names])
        return {
            "images": images,
            "state": state / self._units(spec.state_names),
            "prompt": _get(values, self.prompt),
        }

    def tell(self, chunk: npt.NDArray[np.float64], spec: PolicySpec) -> npt.NDArray[np.float64]:
        """Inverse of `decode`: our actions in the server's columns, 0 where they are unused."""
        columns = dict(
            zip(spec.action_names, (chunk * self._units(spec.action_names)).T, strict=True)
        )
        columns.update({name: 1.0 - columns[name] for name in self.flipped})
        unused = np.zeros(len(chunk))
        return np.stack([columns.get(name, unused) for name in self.actions], axis=1)

    def _units(self, names: tuple[str, ...]) -> npt.NDArray[np.float64]:
        """The server's units in one of ours, for each name."""
        return np.array([180.0 / np.pi if name in self.degrees else 1.0 for name in names])


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        values = values.setdefault(part, {})
    values[last] = value


def _get(values: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            raise MappingError(f"the request lacks '{key}'")
        values = values[part]
    return values
