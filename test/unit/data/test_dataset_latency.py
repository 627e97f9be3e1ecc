from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vla_ros.cli.calibrate_dataset import calibrate_dataset
from vla_ros.data.dataset_latency import dataset_latency
from vla_ros.data.lerobot_dataset import DatasetError, LeRobotDataset

FPS, LENGTH, EPISODES = 30, 240, 4
CAMERA = "observation.images.top"
LATE_S = 0.06
VIDEO = {
    "v2.1": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    "v3.0": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
}


def pose(times: np.ndarray) -> np.ndarray:
    """Moves [deg] that start, stop and turn back. Shape (N, 2)."""
    dice = np.random.default_rng(0)
    out, now, here = np.zeros((len(times), 2)), -1.0, np.zeros(2)
    while now < times[-1]:
        there, takes = dice.uniform(-40, 40, 2), dice.uniform(0.5, 1.3)
        share = np.clip((times - now) / takes, 0, 1)[:, None]
        out = np.where(share > 0, here + (share**2 * (3 - 2 * share)) * (there - here), out)
        here, now = there, now + takes + dice.uniform(0, 0.4)
    return out


def video(path: Path, poses: np.ndarray) -> None:
    """What a camera in a moving hand sees."""
    path.parent.mkdir(parents=True, exist_ok=True)
    few = np.random.default_rng(1).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    wall = cv2.resize(few, (320, 240), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.bit_rate = 64, 48, 4_000_000
        for x, y in 0.4 * poses:
            moved = np.array([[1.0, 0, x - 120], [0, 1.0, y - 90]])
            rgb = cv2.warpAffine(wall, moved, (64, 48))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


def dataset(folder: Path, version: str) -> Path:
    """Recorded by a loop that takes the newest picture, which is 60 ms old."""
    times = np.arange(EPISODES * LENGTH) / FPS
    states, seen = pose(times).astype(np.float32), pose(times - LATE_S)
    episode, frame = np.divmod(np.arange(len(times)), LENGTH)
    table = pa.table(
        {
            "episode_index": episode,
            "timestamp": (frame / FPS).astype(np.float32),
            "observation.state": pa.FixedSizeListArray.from_arrays(states.ravel(), 2),
        }
    )
    features = {CAMERA: {"dtype": "video"}, "observation.state": {"dtype": "float32"}}
    info = {"codebase_version": version, "features": features, "chunks_size": 1000}
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps({**info, "video_path": VIDEO[version]}))
    (folder / "data" / "chunk-000").mkdir(parents=True)
    if version == "v3.0":
        pq.write_table(table, folder / "data" / "chunk-000" / "file-000.parquet")
        video(folder / VIDEO[version].format(video_key=CAMERA, chunk_index=0, file_index=0), seen)
        starts = np.arange(EPISODES) * LENGTH / FPS
        where = {"chunk_index": [0] * EPISODES, "file_index": [0] * EPISODES}
        where |= {"from_timestamp": starts, "to_timestamp": starts + LENGTH / FPS}
        rows = {f"videos/{CAMERA}/{name}": values for name, values in where.items()}
        (folder / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
        pq.write_table(
            pa.table({"episode_index": np.arange(EPISODES), **rows}),
            folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet",
        )
        return folder
    for k in range(EPISODES):
        name = f"episode_{k:06d}"
        part = slice(k * LENGTH, (k + 1) * LENGTH)
        pq.write_table(table[part], folder / "data" / "chunk-000" / f"{name}.parquet")
        names = {"episode_chunk": 0, "video_key": CAMERA, "episode_index": k}
        video(folder / VIDEO[version].format(**names), seen[part])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_dataset_tells_how_old_its_pictures_are(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset(tmp_path / "set", version)
    found = dataset_latency(LeRobotDataset(folder), CAMERA, 300)
    assert found.latency_ns * 1e-9 == pytest.approx(LATE_S, abs=0.005)
    assert found.low_ns * 1e-9 <= LATE_S <= found.high_ns * 1e-9
    assert calibrate_dataset(folder, 300) == 0
    said = capsys.readouterr().out
    assert f"image_latency_s: {{{CAMERA}: {found.latency_ns * 1e-9:.4f}}}" in said


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_each_episode_has_its_rows_and_its_own_frames(version: str, tmp_path: Path) -> None:
    read = LeRobotDataset(dataset(tmp_path / "set", version))
    assert read.cameras == [CAMERA]
    episodes = list(read.episodes())
    assert [e.index for e in episodes] == list(range(EPISODES))
    assert {e.state.shape for e in episodes} == {(LENGTH, 2)}
    times, pictures = zip(*read.pictures(CAMERA, 2), strict=True)
    assert np.allclose(times, episodes[2].times_s, atol=1e-3)
    first = next(iter(read.pictures(CAMERA, 3)))[1]
    assert not np.allclose(first, pictures[0], atol=8)


def test_what_is_no_dataset_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no LeRobot dataset"):
        LeRobotDataset(tmp_path)
    folder = dataset(tmp_path / "set", "v3.0")
    info = folder / "meta" / "info.json"
    info.write_text(info.read_text().replace("v3.0", "v1.6"))
    with pytest.raises(DatasetError, match=r"v1\.6; v2\.0, v2\.1 and v3\.0 are read"):
        LeRobotDataset(folder)


def test_a_video_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "set", "v2.1")
    for path in folder.rglob("*.mp4"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"episode_000000\.mp4 cannot be read"):
        dataset_latency(LeRobotDataset(folder), CAMERA, 300)
