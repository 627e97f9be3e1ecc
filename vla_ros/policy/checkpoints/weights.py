"""Foreign weights into our modules: memory-mapped, tensor by tensor, nothing missing or left over.

Each tensor of the file is mapped, checked, copied into its place and unmapped again, so loading
needs little more memory than the weights themselves, even where tensors are fused or change type.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from vla_ros.errors import VlaError
from vla_ros.policy.models.linear import int8_rows

_LOGGER = logging.getLogger(__name__)

_TYPES: dict[str, tuple[torch.dtype, type[np.generic]]] = {
    "F64": (torch.float64, np.float64),
    "F32": (torch.float32, np.float32),
    "F16": (torch.float16, np.float16),
    "BF16": (torch.bfloat16, np.int16),
    "I64": (torch.int64, np.int64),
    "I32": (torch.int32, np.int32),
    "U8": (torch.uint8, np.uint8),
    "BOOL": (torch.bool, np.uint8),
}

_PIECE = 1 << 20
"""Elements mapped and looked at in one go, so that loading needs little memory of its own."""


class WeightsError(VlaError):
    """Weights that do not fit, or are no numbers."""


@dataclass(frozen=True)
class Part:
    """Where the rows of one of our tensors come from.

    Attributes:
        names: The file's tensors, stacked along the first axis.
        plus: Added to them.
        columns: Only these columns of them.
    """

    names: tuple[str, ...]
    plus: float = 0.0
    columns: slice | None = None


class TensorFile:
    """A safetensors file, read one tensor at a time.

    Args:
        path: The file.

    Raises:
        WeightsError: It is missing, damaged or truncated.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header: dict[str, Any] = json.loads(file.read(length)) if length < size else {}
        except FileNotFoundError as error:
            raise WeightsError(f"'{path}' is missing; copy the whole folder again") from error
        except (OSError, ValueError) as error:
            raise WeightsError(f"'{path}' is damaged ({error}); copy it again") from error
        header.pop("__metadata__", None)
        self._start = 8 + length
        self._entries: dict[str, dict[str, Any]] = header
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if not header or self._start + end != size:
            raise WeightsError(
                f"'{path}' has {size} bytes, expected {self._start + end}: it is damaged or "
                "truncated; copy it again"
            )

    @property
    def names(self) -> set[str]:
        """Names of all tensors."""
        return set(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._entries[name]["shape"])

    def read(self, name: str) -> Tensor:
        """A tensor as a view of the file; the mapping lives as long as the tensor.

        Raises:
            WeightsError: Its type is unknown.
        """
        shape = self.shape(name)
        return self._map(name, 0, math.prod(shape)).reshape(shape)

    def pieces(self, name: str) -> Iterator[tuple[int, Tensor]]:
        """A tensor's rows in pieces of a few megabytes, each with the number of its first row."""
        shape = self.shape(name)
        if not shape:
            yield 0, self.read(name).reshape(1)
            return
        width = math.prod(shape[1:])
        step = max(1, _PIECE // max(1, width))
        for row in range(0, shape[0], step):
            rows = min(step, shape[0] - row)
            yield row, self._map(name, row * width, rows * width).reshape(rows, *shape[1:])

    def _map(self, name: str, first: int, count: int) -> Tensor:
        entry = self._entries[name]
        if entry["dtype"] not in _TYPES:
            raise WeightsError(f"'{self.path}': '{name}' has the unknown type {entry['dtype']}")
        kind, raw = _TYPES[entry["dtype"]]
        begin, end = entry["data_offsets"]
        size = np.dtype(raw).itemsize
        if end - begin != math.prod(self.shape(name)) * size:
            raise WeightsError(f"'{self.path}': '{name}' has a wrong length; copy it again")
        if not count:
            return torch.empty(0, dtype=kind)
        offset = self._start + begin + first * size
        mapped = np.memmap(self.path, dtype=raw, mode="c", offset=offset, shape=(count,))
        return torch.from_numpy(mapped).view(kind)


def fill(
    module: nn.Module,
    parts: Mapping[str, Part],
    file: TensorFile,
    *,
    dtype: torch.dtype = torch.float32,
    exact: Callable[[str], bool] = lambda name: False,
    ignored: Iterable[str] = (),
) -> None:
    """Give a module on the meta device the weights of a file.

    Args:
        module: Its parameters are on the meta device. What is int8 there has its scales beside it
            (`Int8Linear`).
        parts: For each of its tensors, where it comes from.
        file: The file.
        dtype: Type of the weights in memory.
        exact: Names of our tensors that stay float32 whatever ``dtype`` is.
        ignored: Tensors of the file that nobody needs.

    Raises:
        WeightsError: A tensor is missing, left over, wrongly shaped or not finite, or the memory
            does not suffice.
    """
    wanted = module.state_dict()
    small = {name for name, tensor in wanted.items() if tensor.dtype == torch.int8}
    for name in small:
        wanted.pop(_scale_of(name))
    assert wanted.keys() == parts.keys(), wanted.keys() ^ parts.keys()
    _compare_names(parts, file, ignored)
    types = {name: torch.float32 if exact(name) else dtype for name in wanted}
    types |= dict.fromkeys(small, torch.int8)
    check_memory(file.path, sum(t.numel() * types[n].itemsize for n, t in wanted.items()))
    loaded = {}
    for name, tensor in wanted.items():
        kind = torch.float32 if name in small else types[name]
        target = torch.empty(tensor.shape, dtype=kind)
        _fill_one(name, target, parts[name], file)
        if name in small:
            target, loaded[_scale_of(name)] = int8_rows(target)
        loaded[name] = target
    module.load_state_dict(loaded, assign=True)
    module.eval().requires_grad_(False)


def _scale_of(name: str) -> str:
    return f"{name.removesuffix('weight')}scale"


def _compare_names(parts: Mapping[str, Part], file: TensorFile, ignored: Iterable[str]) -> None:
    needed = {name for part in parts.values() for name in part.names}
    missing = sorted(needed - file.names)
    extra = sorted(file.names - needed - set(ignored))
    if missing or extra:
        raise WeightsError(
            f"'{file.path}' does not fit its configuration: missing {missing[:5]}, unknown "
            f"{extra[:5]} ({len(missing)} and {len(extra)} in all); is it another model's, or of "
            "another size than config.json says?"
        )


def check_memory(path: Path, needed: int) -> None:
    """Say how many bytes the weights at a path need, before they are read.

    Raises:
        WeightsError: So many are not free.
    """
    free = psutil.virtual_memory().available
    _LOGGER.info("%s: %.2f GB of weights, %.2f GB free", path, needed / 1e9, free / 1e9)
    if needed * 1.15 > free:
        raise WeightsError(
            f"'{path}' needs {needed * 1.15 / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free; "
            "load it as bfloat16, on a larger machine, or serve it from one"
        )


def _fill_one(name: str, target: Tensor, part: Part, file: TensorFile) -> None:
    shapes = {source: file.shape(source) for source in part.names}
    if len(shapes) > 1:
        there = sum(shape[0] for shape in shapes.values())
        if there != len(target) or {shape[1:] for shape in shapes.values()} != {target.shape[1:]}:
            raise WeightsError(
                f"'{file.path}': {shapes} stacked, expected {tuple(target.shape)} for '{name}'; "
                "config.json says another size"
            )
    begin = 0
    for source, shape in shapes.items():
        rows = target[begin : begin + shape[0]] if len(shapes) > 1 else target
        if part.columns is not None and len(shape) == 2:
            shape = (shape[0], len(range(shape[1])[part.columns]))
        if shape != rows.shape:
            raise WeightsError(
                f"'{file.path}': '{source}' has shape {file.shape(source)}, expected "
                f"{tuple(target.shape)} for '{name}'; config.json says another size"
            )
        for row, piece in file.pieces(source):
            if piece.numel() and not all(map(math.isfinite, torch.aminmax(piece))):  # no copies
                raise WeightsError(
                    f"'{file.path}': '{source}' holds NaN or infinity; copy it again"
                )
            if part.columns is not None and piece.ndim == 2:
                piece = piece[:, part.columns]
            rows.reshape(-1, *piece.shape[1:])[row : row + len(piece)].copy_(piece)
        if part.plus:
            rows += part.plus
        begin += shape[0] if shape else 0


def model_id(path: Path) -> str:
    """A short hash of a weights' file: of its size, header and last bytes, as it may be huge."""
    with path.open("rb") as file:
        digest = hashlib.sha256(str(path.stat().st_size).encode())
        digest.update(file.read(1 << 20))
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        digest.update(file.read())
    return digest.hexdigest()[:12]
