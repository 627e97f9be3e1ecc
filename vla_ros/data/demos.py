"""A set of demonstrations on disk: frames with clean action chunks, ready to be memory-mapped.

Layout of a set::

    <folder>/meta/info.json               DemoInfo; what every frame of the set has in common
    <folder>/shards/w00-00000/shard.json  counts and seeds of the shard
    <folder>/shards/w00-00000/*.npy       one array per FrameArrays field

A shard is written into a hidden folder and renamed, so a shard that can be seen is whole: a writer
that is killed loses at most the episodes it still held in memory. Several writers (``worker``) may
fill one set at the same time, and later rounds may add shards to it.

The instruction of a frame is not stored. ``target`` names what is asked for, and training draws
the words from a grammar (``DemoInfo.grammar``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
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


def _expected(info: DemoInfo) -> dict[str, tuple[type, tuple[int, ...]]]:
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
    for name, (dtype, shape) in _expected(info).items():
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


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(partial, path)


class DemoWriter:
    """Appends episodes to a set. Use as a context manager, or call ``close``.

    Args:
        folder: The set; made if missing. An existing set must have an equal ``info``.
        info: What every frame has in common.
        worker: Number of this writer; two writers of one set must differ.
        shard_frames: A shard is written when at least so many frames are held.

    Raises:
        DemoSetError: The folder holds another set.
    """

    def __init__(
        self, folder: Path | str, info: DemoInfo, *, worker: int = 0, shard_frames: int = 1024
    ) -> None:
        self._folder = Path(folder)
        self._info = info
        self._worker = worker
        self._shard_frames = shard_frames
        self._held: list[FrameArrays] = []
        self._seeds: list[int] = []
        (self._folder / "meta").mkdir(parents=True, exist_ok=True)
        (self._folder / "shards").mkdir(exist_ok=True)
        path = self._folder / "meta" / "info.json"
        if path.exists():
            old = read_info(self._folder).to_json()
            new = json.loads(json.dumps(info.to_json()))
            old = json.loads(json.dumps(old))
            differ = [key for key in new if key != "command" and new[key] != old[key]]
            if differ:
                raise DemoSetError(
                    f"'{self._folder}' holds a set that differs in {', '.join(differ)}. "
                    "Write to another folder."
                )
        else:
            _write_json(path, info.to_json())
        names = [p.name for p in (self._folder / "shards").glob(f"w{worker:02d}-*")]
        self._next = 1 + max((int(name.split("-")[1]) for name in names), default=-1)

    def append(self, frames: FrameArrays, *, seed: int) -> None:
        """Add one episode.

        Args:
            frames: The recorded frames of the episode; may be empty.
            seed: Seed of the scene.
        """
        check_frames(self._info, frames)
        if len(frames):
            self._held.append(frames)
            self._seeds.append(seed)
        if sum(len(f) for f in self._held) >= self._shard_frames:
            self._write_shard()

    def close(self) -> None:
        """Write what is held and the totals of the whole set."""
        self._write_shard()
        shards = _shard_folders(self._folder)
        counts = [json.loads((shard / "shard.json").read_text()) for shard in shards]
        totals = {
            "frames": sum(c["frames"] for c in counts),
            "episodes": sum(len(c["seeds"]) for c in counts),
        }
        info = read_info(self._folder)
        _write_json(self._folder / "meta" / "info.json", {**info.to_json(), "totals": totals})

    def __enter__(self) -> DemoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_shard(self) -> None:
        if not self._held:
            return
        name = f"w{self._worker:02d}-{self._next:05d}"
        partial = self._folder / "shards" / f".{name}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for key in _expected(self._info):
            np.save(partial / f"{key}.npy", np.concatenate([getattr(f, key) for f in self._held]))
        frames = sum(len(f) for f in self._held)
        _write_json(partial / "shard.json", {"frames": frames, "seeds": self._seeds})
        os.rename(partial, self._folder / "shards" / name)
        self._held, self._seeds = [], []
        self._next += 1


def _shard_folders(folder: Path) -> list[Path]:
    shards = (folder / "shards").glob("w*")
    return sorted(shard for shard in shards if (shard / "shard.json").exists())


def read_info(folder: Path | str) -> DemoInfo:
    """Read ``meta/info.json`` of a set."""
    path = Path(folder) / "meta" / "info.json"
    try:
        return DemoInfo.from_json(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise DemoSetError(f"No demonstration set at '{folder}': {path} is missing.") from error
    except (json.JSONDecodeError, KeyError) as error:
        raise DemoSetError(f"'{path}' cannot be read: {error}.") from error


@dataclass(frozen=True, kw_only=True)
class DemoSet:
    """Frames of one or several sets of the same kind, read-only.

    Images stay memory-mapped; everything else is in memory.

    Attributes:
        info: Taken from the first folder.
        arrays: All fields but the images, concatenated. Each Shape (N, ...).
        images: One memory map per shard.
        first: Index of the first frame of each shard. Length: shards + 1.
        split: int64, Shape (N,), a number that is equal for all frames of an episode and differs
            between episodes (used to hold episodes out).
    """

    info: DemoInfo
    arrays: Mapping[str, npt.NDArray[Any]]
    images: Sequence[npt.NDArray[np.uint8]]
    first: npt.NDArray[np.int64]
    split: npt.NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return int(self.first[-1])

    def frames(self, index: npt.NDArray[np.int64]) -> FrameArrays:
        """Return copies of the frames at ``index``. Shape (B,)."""
        shard = np.searchsorted(self.first, index, side="right") - 1
        local = index - self.first[shard]
        images = np.empty((len(index), *self.images[0].shape[1:]), np.uint8)
        for row, (s, k) in enumerate(zip(shard, local, strict=True)):
            images[row] = self.images[s][k]
        return FrameArrays(images=images, **{k: v[index] for k, v in self.arrays.items()})


def open_demos(folders: Sequence[Path | str]) -> DemoSet:
    """Open sets as one.

    Args:
        folders: One or more sets; all must agree in everything that a policy is trained on.

    Raises:
        DemoSetError: A set is missing, empty, damaged or of another kind than the first.
    """
    infos = [read_info(folder) for folder in folders]
    if not infos:
        raise DemoSetError("No demonstration set was named.")
    free = ("command", "spec_hash")
    for folder, info in zip(folders, infos, strict=True):
        a, b = (json.loads(json.dumps(i.to_json())) for i in (infos[0], info))
        differ = [key for key in a if key not in free and a[key] != b[key]]
        if differ:
            raise DemoSetError(f"'{folder}' differs from '{folders[0]}' in {', '.join(differ)}.")
    expected = _expected(infos[0])
    columns: dict[str, list[npt.NDArray[Any]]] = {key: [] for key in expected}
    split = []
    shards = [shard for folder in folders for shard in _shard_folders(Path(folder))]
    if not shards:
        raise DemoSetError(f"No finished shard in {', '.join(map(str, folders))}.")
    for number, shard in enumerate(shards):
        count = json.loads((shard / "shard.json").read_text())["frames"]
        for key, (dtype, shape) in expected.items():
            try:
                array = np.load(shard / f"{key}.npy", mmap_mode="r" if key == "images" else None)
            except (OSError, ValueError) as error:
                raise DemoSetError(f"'{shard / key}.npy' cannot be read: {error}.") from error
            if array.dtype != dtype or array.shape != (count, *shape):
                raise DemoSetError(f"'{shard / key}.npy': expected {(count, *shape)}.")
            columns[key].append(array)
        split.append(number * 1_000_000 + columns["episode"][-1].astype(np.int64))
    images = columns.pop("images")
    return DemoSet(
        info=infos[0],
        arrays={key: np.concatenate(parts) for key, parts in columns.items()},
        images=images,
        first=np.concatenate([[0], np.cumsum([len(i) for i in images])]).astype(np.int64),
        split=np.concatenate(split),
    )
