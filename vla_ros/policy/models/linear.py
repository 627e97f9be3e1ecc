"""Linear layers for inference on a CPU: weights in the order in which the processor reads them.

`prepare` puts them in place of a loaded network's `nn.Linear`, `use_int8` those with int8 weights.
Where there are gradients, as in guidance through the network's Jacobian, they compute as
`nn.Linear` does.

Axis letters: N rows of tokens, I columns in, O columns out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

_WORTH = 1 << 18
"""Weights from which on packing pays: below, calling the packed product takes longer."""

_PIECE = 1 << 22
"""Weights turned to float32 at a time: 16 MB, which stay in the processor's cache."""

_ROUNDED = 1 << 20
"""Weights turned to int8 at a time, so that loading needs little memory of its own."""


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 numbers itself; if not, torch does it slowly."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class PackedLinear(nn.Module):
    """A linear layer whose weights oneDNN has put in its own order, once.

    Without it every product begins by putting them in order, which for the few rows of an action
    chunk takes half as long as the product itself.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bias = linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedLinear:
        self._packed = fn(self._packed.to_dense())  # a device that it moves to has its own order
        super()._apply(fn, recurse)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., N, I) -> (..., N, O)."""
        if torch.is_grad_enabled() or not self._packed.is_mkldnn:
            return functional.linear(x, self._packed.to_dense(), self.bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
        return out


class WidenedLinear(nn.Module):
    """A linear layer with bfloat16 weights that are multiplied as float32, a piece at a time."""

    scale: nn.Parameter | None
    """What the weights are still to be multiplied with. Shape (O,)."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight
        self.register_parameter("scale", None)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.float(), False)

    def forward(self, x: Tensor) -> Tensor:
        """Float32, Shape (..., N, I) -> (..., N, O)."""
        if torch.is_grad_enabled():
            scale = 1.0 if self.scale is None else self.scale[:, None]
            return functional.linear(x, self.weight.float() * scale, self.bias)
        rows = x.reshape(-1, x.shape[-1])
        out = x.new_empty(len(rows), len(self.weight))
        begin = 0
        for piece in self.weight.split(max(1, _PIECE // x.shape[-1])):
            torch.mm(rows, piece.float().t(), out=out[:, begin : begin + len(piece)])
            begin += len(piece)
        if self.scale is not None:
            out *= self.scale
        if self.bias is not None:
            out += self.bias
        return out.view(*x.shape[:-1], -1)


class Int8Linear(WidenedLinear):
    """A linear layer whose weights are whole numbers from -127 to 127, with a scale for each row.

    Half as much memory as bfloat16; off by 1/254 of the row's largest weight at most.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight, scale = int8_rows(linear.weight.detach().float())
        self.weight, self.scale = nn.Parameter(weight, False), nn.Parameter(scale, False)


def int8_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix as int8, and the scale of each row. Shape (O, I) -> (O, I), (O,)."""
    small = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scale = torch.empty(len(weight), device=weight.device)
    rows = max(1, _ROUNDED // weight.shape[1])
    parts = (weight.split(rows), small.split(rows), scale.split(rows))
    for piece, whole, factor in zip(*parts, strict=True):
        largest = torch.stack([piece.amax(dim=1), -piece.amin(dim=1)]).amax(dim=0)
        factor.copy_((largest / 127.0).clamp(min=torch.finfo(torch.float32).tiny))
        whole.copy_((piece / factor[:, None]).round())
    return small, scale


def use_int8(network: nn.Module, exact: Callable[[str], bool]) -> None:
    """Put int8 layers in place of a network's linear ones but those whose weights stay exact."""
    for name, child in list(network.named_modules()):
        if isinstance(child, nn.Linear) and not exact(f"{name}.weight"):
            network.set_submodule(name, Int8Linear(child))


def prepare(network: nn.Module) -> None:
    """Make a loaded network ready for this machine's processor, in place.

    Its large linear layers are replaced, but int8 ones. Where the processor does not know bfloat16,
    matrices in bfloat16 stay so in memory, and everything else becomes float32. On machines without
    oneDNN nothing changes.
    """
    if not torch.backends.mkldnn.is_available():
        return
    widen = not has_bfloat16()
    for name in [name for name, _ in network.named_children()]:
        child = network.get_submodule(name)  # held until the next one: no two are there twice
        if isinstance(child, nn.Linear):
            if widen and child.weight.dtype == torch.bfloat16:
                setattr(network, name, WidenedLinear(child))
            elif child.weight.numel() >= _WORTH:
                setattr(network, name, PackedLinear(child))
        elif not isinstance(child, (nn.Embedding, WidenedLinear)):
            prepare(child)
    if widen:
        for parameter in network.parameters(recurse=False):
            parameter.data = parameter.data.float()


def inputs_first(module: nn.Module) -> None:
    """Lay every linear layer's weights (out, in) out in memory by their inputs, in place.

    A product with few rows then runs on all threads, at up to twice the speed (MKL, 16 to 25 rows);
    it does not with the layout that torch gives them.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = layer.weight.data.t().contiguous().t()
