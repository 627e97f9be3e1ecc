"""From a robot's message to a request that fits the policy, or to a refusal in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt

from vla_ros.chunks.rtc import Jacobian
from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Guidance, PolicyRequest, PolicySpec
from vla_ros.policy.remote import jpeg
from vla_ros.spaces.observation import Observation

KEYS = ("images", "state", "prompt", "seed", "guidance", "history", "t_obs_ns")
JACOBIANS = get_args(Jacobian)


class BadRequest(VlaError):
    """A message that the policy cannot be asked with."""


def is_ours(message: Mapping[str, Any], spec: PolicySpec) -> bool:
    """Whether a message names its cameras as the policy does, so that no file of keys is needed."""
    images = message.get("images")
    return isinstance(images, Mapping) and set(images) == set(spec.camera_keys)


def request_from(message: Mapping[str, Any], spec: PolicySpec) -> PolicyRequest:
    """The request in a decoded message.

    Raises:
        BadRequest: A key, camera, size, type or number does not fit the policy.
        JpegError: An image is a JPEG that does not.
    """
    unknown = [str(key) for key in message if key not in KEYS]
    if unknown:
        raise BadRequest(
            f"unknown keys {', '.join(unknown)}, expected {', '.join(KEYS)} (images holds "
            f"{', '.join(spec.camera_keys) or 'nothing'})"
        )
    seed, guidance = message.get("seed"), message.get("guidance")
    return PolicyRequest(
        observation=_observation(message, spec, _stamp(message.get("t_obs_ns", 0))),
        prompt=_prompt(message.get("prompt")),
        seed=None if seed is None else seed_from(seed),
        guidance=None if guidance is None else _guidance(guidance, spec),
        history=_history(message.get("history", ()), spec),
    )


def seed_from(value: Any) -> int:
    """A seed, checked.

    Raises:
        BadRequest: It is no whole number from 0 to 2**63 - 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise BadRequest(f"seed is {value!r}, expected a whole number")
    if not 0 <= value < 2**63:
        raise BadRequest(f"seed is {value}, expected 0 or more and less than 2**63")
    return int(value)


def _history(history: Any, spec: PolicySpec) -> tuple[Observation, ...]:
    most = spec.n_obs_steps - 1
    if not isinstance(history, list | tuple) or len(history) > most:
        raise BadRequest(f"history: expected at most {most} maps of images and state")
    return tuple(_observation(before, spec) for before in history)


def _stamp(t_obs_ns: Any) -> int:
    if isinstance(t_obs_ns, bool) or not isinstance(t_obs_ns, int | np.integer):
        raise BadRequest(f"t_obs_ns is {t_obs_ns!r}, expected a whole number of nanoseconds")
    return int(t_obs_ns)


def _observation(message: Any, spec: PolicySpec, t_obs_ns: int = 0) -> Observation:
    if not isinstance(message, Mapping):
        raise BadRequest(f"history: got {type(message).__name__}, expected maps")
    return Observation(
        seq=0,
        t_obs_ns=t_obs_ns,
        start_ns=0,
        images=_images(message.get("images", {}), spec),
        image_stamps_ns=dict.fromkeys(spec.camera_keys, 0),
        state=_state(message.get("state"), spec),
        state_stamp_ns=0,
        streams=(),
    )


def _images(images: Any, spec: PolicySpec) -> dict[str, npt.NDArray[np.uint8]]:
    if not isinstance(images, Mapping) or set(images) != set(spec.camera_keys):
        got = sorted(map(str, images)) if isinstance(images, Mapping) else type(images).__name__
        raise BadRequest(f"images: got {got}, expected the cameras {sorted(spec.camera_keys)}")
    return {key: _image(key, images[key], spec.image_size) for key in spec.camera_keys}


def _image(key: str, image: Any, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if isinstance(image, Mapping) and jpeg.MARK in image:
        return jpeg.decode(image.get(b"data"), size)
    expected = (*size, 3)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        if image.shape == (3, *size):  # openpi's ALOHA clients send the channels first
            image = np.moveaxis(image, 0, -1)
        if image.shape == expected:
            return np.ascontiguousarray(image)
    got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
    raise BadRequest(f"camera '{key}': got {got}, expected uint8 {expected} (height, width, RGB)")


def _state(state: Any, spec: PolicySpec) -> npt.NDArray[np.float64]:
    values = _numbers("state", state, (len(spec.state_names),))
    if not np.isfinite(values).all():
        bad = [spec.state_names[i] for i in np.flatnonzero(~np.isfinite(values))]
        raise BadRequest(f"state: {', '.join(bad)} is not finite")
    return values


def _guidance(guidance: Any, spec: PolicySpec) -> Guidance:
    jacobian = guidance.get("jacobian", "none") if isinstance(guidance, Mapping) else None
    if not isinstance(jacobian, str) or jacobian not in JACOBIANS:
        raise BadRequest(f"guidance: got {guidance!r}, expected a map with jacobian {JACOBIANS}")
    pull = guidance.get("max_weight", Guidance.max_weight)
    if isinstance(pull, bool) or not isinstance(pull, int | float | np.number):
        raise BadRequest(f"guidance.max_weight is {pull!r}, expected a number")
    shape = (spec.horizon, len(spec.action_names))
    parts = Guidance(
        actions=_numbers("guidance.actions", guidance.get("actions"), shape),
        weights=_numbers("guidance.weights", guidance.get("weights"), shape[:1]),
        max_weight=float(pull),
        jacobian=cast(Jacobian, jacobian),
    )
    for name in ("actions", "weights", "max_weight"):
        if not np.isfinite(getattr(parts, name)).all():
            raise BadRequest(f"guidance.{name} is not finite")
    return parts


def _numbers(key: str, value: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.shape == shape:
        return value.astype(np.float64)
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    raise BadRequest(f"{key}: got {got}, expected an array of numbers of shape {shape}")


def _prompt(prompt: Any) -> str:
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadRequest(f"prompt: got {prompt!r}, expected words the policy was trained on")
    return prompt
