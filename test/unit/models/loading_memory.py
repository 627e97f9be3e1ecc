"""How much memory loading a checkpoint takes: a process of its own that says it.

    python loading_memory.py SMALL LARGE

loads SMALL, so that everything is imported, then LARGE, and prints by how many bytes the process
grew at most.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from vla_ros.policy.load import load_policy


def memory(what: str) -> int:
    """Bytes: ``VmRSS`` now, ``VmHWM`` at most so far."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def keep_what_is_there() -> None:
    """Where permitted, keep the libraries' pages in memory.

    Else a kernel that is short of memory, or tidy, takes some away first and they count as growth.
    """
    ctypes.CDLL(None).mlockall(1)  # MCL_CURRENT


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
    keep_what_is_there()
    before = memory("VmRSS")
    loaded = load_policy(sys.argv[2], threads=1)
    print(memory("VmHWM") - before)
