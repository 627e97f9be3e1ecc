"""What a demonstration set consists of: frames, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

FORMAT = "vla_ros_demos/1"

ActionKind = Literal["position", "binary"]


class DemoSetError(VlaError):
    """A demonstration set that cannot be written or read."""


@dataclass(frozen=True, kw_only=True)
class DemoInfo:
    """What every frame of a demonstration set has in common.

    Attributes:
        robot: Name of the robot file.
        spec_hash: Hash of the robot file (uint64).
        state_names: Names of the state vector, in order. Length S.
        action_names: Names of the action vector, in order. Length A. A "position" element carries
            the name of the state element it commands.
        action_kinds: "position" (absolute target, unit of the state element) or "binary"
            (0 closed, 1 open) for each action element. Length A.
        camera_keys: Camera keys in the order of the image array's axis C.
        image_height: Height H of a dataset-space image in pixels.
        image_width: Width W of a dataset-space image in pixels.
        horizon: Number T of action rows in a chunk.
        dt_s: Time between two rows of a chunk in seconds.
        time_contract: ``TimeContract.to_dict()`` of the recording.
        object_names: Names of the things that can be moved, the order of ``target[:, 0]`` and of
            the first rows of ``scene``.
        bin_names: Names of the places, the order of ``target[:, 1]`` and of the last rows of
            ``scene``.
        grammar: Name of the grammar that turns targets into words at training time.
        command: Command line that generated the set.
    """

    robot: str
    spec_hash: int
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    action_kinds: tuple[ActionKind, ...]
    camera_keys: tuple[str, ...]
    image_height: int
    image_width: int
    horizon: int
    dt_s: float
    time_contract: Mapping[str, Any]
    object_names: tuple[str, ...] = ("red cube", "green cube", "blue cube")
    bin_names: tuple[str, ...] = ("blue bin", "yellow bin")
    grammar: str = "tabletop-1"
    command: str = ""

    def __post_init__(self) -> None:
        if len(self.action_kinds) != len(self.action_names):
            raise DemoSetError(
                f"action_kinds has {len(self.action_kinds)} entries, expected one for each of "
                f"the {len(self.action_names)} action_names."
            )
        for name, kind in zip(self.action_names, self.action_kinds, strict=True):
            if kind == "position" and name not in self.state_names:
                raise DemoSetError(
                    f"Action '{name}' is a position but no state element has that name. "
                    f"State names: {', '.join(self.state_names)}."
                )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary (the hash as hexadecimal text)."""
        return {"format": FORMAT, **asdict(self), "spec_hash": f"{self.spec_hash:#018x}"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DemoInfo:
        """Read what ``to_json`` wrote."""
        values = {key: value for key, value in values.items() if key != "totals"}
        if values.pop("format", None) != FORMAT:
            raise DemoSetError(f"Not a demonstration set of format '{FORMAT}'.")
        values["spec_hash"] = int(values["spec_hash"], 16)
        names: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in values.items()
        }
        try:
            return cls(**names)
        except TypeError as error:
            raise DemoSetError(f"meta/info.json does not fit this version: {error}.") from error


@dataclass(frozen=True, kw_only=True)
class FrameArrays:
    """N frames; the same fields in memory, in an episode and in a shard.

    Attributes:
        images: uint8, Shape (N, C, H, W, 3), RGB in dataset space, in ``camera_keys`` order.
        state: float32, Shape (N, S), measured at the anchor capture.
        actions: float32, Shape (N, T, A), absolute targets; row k is due ``k * dt_s`` after the
            time contract's start.
        target: int16, Shape (N, 2), index of the asked object and of the asked bin.
        scene: float32, Shape (N, P, 4), position x y z [m] and yaw [rad] in the arm's base frame:
            the objects in ``object_names`` order, then the bins in ``bin_names`` order.
        pixels: float32, Shape (N, C, P, 2), where each camera sees the middle of each thing of
            ``scene``: x to the right and y down, both -1 to 1 from edge to edge of the
            dataset-space image; outside that range it is out of view.
        eligible: bool, Shape (N,), True where another instruction could equally have been given
            (nothing grasped yet, or the task finished): such frames may be relabelled with another
            target, without an action label.
        episode: int32, Shape (N,), episode number (unique within the worker).
        frame: int32, Shape (N,), policy tick within the episode.
    """

    images: npt.NDArray[np.uint8]
    state: npt.NDArray[np.float32]
    actions: npt.NDArray[np.float32]
    target: npt.NDArray[np.int16]
    scene: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.float32]
    eligible: npt.NDArray[np.bool_]
    episode: npt.NDArray[np.int32]
    frame: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.state)


def expected_of(info: DemoInfo) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Return dtype and shape without N of every field."""
    places = len(info.object_names) + len(info.bin_names)
    cameras = len(info.camera_keys)
    return {
        "images": (np.uint8, (cameras, info.image_height, info.image_width, 3)),
        "state": (np.float32, (len(info.state_names),)),
        "actions": (np.float32, (info.horizon, len(info.action_names))),
        "target": (np.int16, (2,)),
        "scene": (np.float32, (places, 4)),
        "pixels": (np.float32, (cameras, places, 2)),
        "eligible": (np.bool_, ()),
        "episode": (np.int32, ()),
        "frame": (np.int32, ()),
    }


def check_frames(info: DemoInfo, frames: FrameArrays) -> None:
    """Refuse frames that do not fit the set.

    Raises:
        DemoSetError: A field has another dtype, shape or length, or holds a value that is not
            finite, or a target that does not exist.
    """
    count = len(frames)
    for name, (dtype, shape) in expected_of(info).items():
        array = getattr(frames, name)
        if array.dtype != dtype or array.shape != (count, *shape):
            raise DemoSetError(
                f"Field '{name}': expected {np.dtype(dtype).name} of shape {(count, *shape)}, "
                f"got {array.dtype.name} of shape {array.shape}."
            )
        if dtype is np.float32 and not np.isfinite(array).all():
            raise DemoSetError(f"Field '{name}' holds NaN or infinity.")
    limits = (len(info.object_names), len(info.bin_names))
    if count and ((frames.target < 0) | (frames.target >= limits)).any():
        raise DemoSetError(f"A target is outside the {limits[0]} objects and {limits[1]} bins.")
