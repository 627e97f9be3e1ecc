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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.data.demo_frames import (
    DemoInfo,
    DemoSetError,
    FrameArrays,
    check_frames,
    expected_of,
)


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
        for key in expected_of(self._info):
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
    expected = expected_of(infos[0])
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
