"""Demonstration sets on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny_demos import tiny_episode, tiny_info, write_tiny

from vla_ros.data.demo_frames import DemoSetError
from vla_ros.data.demos import DemoWriter, open_demos


def test_what_is_written_is_read_back_across_shards(tmp_path: Path) -> None:
    demos = write_tiny(tmp_path / "a")
    assert len(demos.images) > 1
    rng = np.random.default_rng(0)
    episodes = [tiny_episode(rng, 12, episode) for episode in range(8)]
    index = np.array([95, 0, 13, 50])
    got = demos.frames(index)
    for field in dataclasses.fields(got):
        expected = np.concatenate([getattr(e, field.name) for e in episodes])[index]
        assert np.array_equal(getattr(got, field.name), expected), field.name


def test_later_writers_add_shards_and_episodes_keep_apart(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    with DemoWriter(tmp_path, tiny_info(), worker=0) as writer:
        writer.append(tiny_episode(np.random.default_rng(1), 5, 0), seed=1)
    with DemoWriter(tmp_path, tiny_info(), worker=1) as writer:
        writer.append(tiny_episode(np.random.default_rng(2), 5, 0), seed=2)
    demos = open_demos([tmp_path])
    assert len(demos) == 8 * 12 + 10
    assert len(np.unique(demos.split)) == 10


def test_a_killed_writer_leaves_whole_shards_only(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    (tmp_path / "shards" / ".w00-00009").mkdir()
    writer = DemoWriter(tmp_path, tiny_info(), worker=3)
    writer.append(tiny_episode(np.random.default_rng(1), 5, 0), seed=1)
    del writer
    assert len(open_demos([tmp_path])) == 8 * 12


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("state", np.zeros((5, 6), np.float32), "state.*expected float32 of shape"),
        ("actions", np.full((5, 4, 7), np.nan, np.float32), "actions.*NaN"),
        ("target", np.full((5, 2), 3, np.int16), "target is outside"),
        ("images", np.zeros((5, 2, 32, 64, 3), np.float32), "images.*expected uint8"),
    ],
)
def test_frames_that_do_not_fit_are_refused(
    tmp_path: Path, field: str, value: np.ndarray, words: str
) -> None:
    frames = tiny_episode(np.random.default_rng(0), 5, 0)
    with pytest.raises(DemoSetError, match=words):
        DemoWriter(tmp_path, tiny_info()).append(
            dataclasses.replace(frames, **{field: value}), seed=0
        )


def test_another_kind_of_set_is_refused(tmp_path: Path) -> None:
    write_tiny(tmp_path / "a")
    other = dataclasses.replace(tiny_info(), dt_s=0.1)
    with pytest.raises(DemoSetError, match="differs in dt_s"):
        DemoWriter(tmp_path / "a", other)
    with DemoWriter(tmp_path / "b", other) as writer:
        writer.append(tiny_episode(np.random.default_rng(0), 5, 0), seed=0)
    with pytest.raises(DemoSetError, match="dt_s"):
        open_demos([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(DemoSetError, match="No demonstration set"):
        open_demos([tmp_path / "nowhere"])


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    path = next(tmp_path.glob("shards/*/images.npy"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DemoSetError, match="images"):
        open_demos([tmp_path])
