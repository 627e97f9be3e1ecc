"""Reads folders of LeRobotDataset, v2.1 and v3.0: states by row, and the pictures of a camera.

Source of the layouts: huggingface/lerobot, ``src/lerobot/datasets``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError

STATE = "observation.state"


class DatasetError(VlaError):
    """A folder that is no dataset, or lacks what is asked of it."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """The rows of one episode.

    Attributes:
        index: its number.
        times_s: time of each row since its first. Shape (N,).
        state: ``observation.state``, in the dataset's units. Shape (N, S).
    """

    index: int
    times_s: npt.NDArray[np.float64]
    state: npt.NDArray[np.float64]


class LeRobotDataset:
    """One dataset.

    Args:
        folder: holds ``meta/info.json``.

    Attributes:
        cameras: keys of the videos.

    Raises:
        DatasetError: it is none, of a version that is not read, or a library is missing.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import av
            import pyarrow.parquet
        except ImportError as error:
            raise DatasetError(
                f"{error}: datasets are read with PyAV and PyArrow: pip install av pyarrow"
            ) from error
        self._av, self._parquet = av, pyarrow.parquet
        path = folder / "meta" / "info.json"
        try:
            self._info = json.loads(path.read_text(encoding="utf-8"))
            version, features = str(self._info["codebase_version"]), self._info["features"]
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(f"{folder} is no LeRobot dataset: {path}: {error}") from error
        if version not in ("v2.0", "v2.1", "v3.0"):
            raise DatasetError(f"{folder} is a dataset of {version}; v2.0, v2.1 and v3.0 are read")
        if STATE not in features:
            raise DatasetError(f"{folder} has no {STATE}; it has {', '.join(features)}")
        self._folder, self._newer = folder, version == "v3.0"
        self.cameras = [key for key, value in features.items() if value["dtype"] == "video"]

    def episodes(self) -> Iterator[Episode]:
        """One after the other, in the order of the files."""
        for path in sorted((self._folder / "data").glob("chunk-*/*.parquet")):
            table = self._table(path, ["episode_index", "timestamp", STATE])
            numbers = table["episode_index"].to_numpy()
            times = table["timestamp"].to_numpy().astype(np.float64)
            state = np.stack(table[STATE].to_numpy()).astype(np.float64).reshape(len(times), -1)
            for number in np.unique(numbers):
                rows = numbers == number
                yield Episode(index=int(number), times_s=times[rows], state=state[rows])

    def pictures(self, key: str, episode: int) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
        """(time since the episode's first row, RGB) of each frame of one camera.

        Raises:
            DatasetError: the video is missing or cannot be decoded.
        """
        path, start_s, end_s = self._video(key, episode)
        try:
            with self._av.open(str(path)) as container:
                stream = container.streams.video[0]
                container.seek(round(start_s / stream.time_base), stream=stream)
                for frame in container.decode(stream):
                    t_s = float(frame.pts * stream.time_base)
                    if t_s >= end_s - 1e-4:
                        return
                    if t_s >= start_s - 1e-4:
                        yield t_s - start_s, frame.to_ndarray(format="rgb24")
        except (OSError, self._av.FFmpegError) as error:
            raise DatasetError(f"{path} cannot be read: {error}") from error

    def _video(self, key: str, episode: int) -> tuple[Path, float, float]:
        """File and span [s] of one episode."""
        names: dict[str, Any] = {"video_key": key, "episode_index": episode}
        if not self._newer:
            names["episode_chunk"] = episode // int(self._info["chunks_size"])
            return self._folder / self._info["video_path"].format(**names), 0.0, np.inf
        columns = ["chunk_index", "file_index", "from_timestamp", "to_timestamp"]
        wanted = [f"videos/{key}/{column}" for column in columns]
        for path in sorted((self._folder / "meta" / "episodes").glob("chunk-*/*.parquet")):
            table = self._table(path, ["episode_index", *wanted])
            for row in np.flatnonzero(table["episode_index"].to_numpy() == episode):
                chunk, file, start_s, end_s = (table[name][int(row)].as_py() for name in wanted)
                names |= {"chunk_index": chunk, "file_index": file}
                return self._folder / self._info["video_path"].format(**names), start_s, end_s
        raise DatasetError(f"{self._folder}/meta/episodes does not know episode {episode}")

    def _table(self, path: Path, columns: list[str]) -> Any:
        try:
            return self._parquet.read_table(path, columns=columns)
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(f"{path} cannot be read: {error}") from error
