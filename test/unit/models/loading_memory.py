"""How much memory loading a checkpoint takes: a process of its own that says it.

    python loading_memory.py SMALL LARGE

loads SMALL, so that everything is imported, then LARGE, and prints by how many bytes the process
grew at most.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import torch

from vla_ros.policy.load import load_policy


def resident(checkpoint: str) -> int:
    """Bytes of its own that this process has in memory, and of the checkpoint's file.

    Not the pages of libraries: a kernel that is short of memory, or tidy, takes those away and
    brings them back as it likes.
    """
    own = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert own is not None
    parts = re.split(r"^(?=[0-9a-f]+-)", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    mapped = [part for part in parts if checkpoint in part.split("\n", 1)[0]]
    rss = [int(n) for part in mapped for n in re.findall(r"^Rss:\s+(\d+) kB", part, re.MULTILINE)]
    return 1024 * (int(own[1]) + sum(rss))


class Peak:
    """Looks at `resident` all the time while it is entered."""

    def __init__(self, checkpoint: str) -> None:
        self._checkpoint = checkpoint
        self.before = self.most = resident(checkpoint)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(1e-3):
            self.most = max(self.most, resident(self._checkpoint))


def write_zeros(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """A safetensors file of bfloat16 zeros, which takes no room on the disk."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


if __name__ == "__main__":
    load_policy(sys.argv[1], threads=1)
    with Peak(sys.argv[2]) as peak:
        loaded = load_policy(sys.argv[2], threads=1)
    print(max(peak.most, resident(sys.argv[2])) - peak.before)
