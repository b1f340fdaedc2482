"""A Res2 block for inference alone: less time and memory, the same numbers but for rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

#: voxels of a piece of a map, on which it stays in the processor's cache
PIECE = 1 << 15
#: the same of a part, whose convolution sees some rows twice
PIECE_OF_PARTS = 1 << 18


class FoldedConv:
    """A convolution that does what a norm with running statistics does after it.

    Args:
        conv (nn.Module): Convolution of any rank.
        norm (nn.Module): Batch norm, or none (``nn.Identity``).
    """

    def __init__(self, conv: Any, norm: Any) -> None:
        self.conv = conv
        self.weight: Tensor = conv.weight
        self.bias: Tensor | None = conv.bias
        if not isinstance(norm, nn.Identity):
            factor = torch.rsqrt(norm.running_var + norm.eps)
            factor = factor if norm.weight is None else factor * norm.weight
            shift = -norm.running_mean if self.bias is None else self.bias - norm.running_mean
            self.weight = self.weight * factor.reshape(-1, *(1,) * (self.weight.ndim - 1))
            self.bias = shift * factor if norm.bias is None else shift * factor + norm.bias
        device = self.weight.device.type
        if torch.is_autocast_enabled(device):  # once, not for each piece
            self.weight = self.weight.to(torch.get_autocast_dtype(device))
            self.bias = None if self.bias is None else self.bias.to(self.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Map (N, C, *S) as the two do one after the other."""
        return self.conv._conv_forward(x, self.weight, self.bias)


def can_stream(block: Any) -> bool:
    """Whether :func:`stream` may stand in for the block: no gradient, no statistics of the batch, nobody listening."""
    if block.training or torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    for module in block.modules():
        if module._forward_hooks or module._forward_pre_hooks:
            return False
    norms = (block.norm1, *block.norms, block.norm3, block.shortcut[1] if block.has_projection else block.norm3)
    kept = all(isinstance(n, nn.Identity) or (isinstance(n, _BatchNorm) and n.track_running_stats) for n in norms)
    return kept and set(block.conv1.stride) == {1}


def stream(block: Any, source: Callable[[slice], Tensor], length: int, voxels: int) -> Tensor:
    """Go over the input piece by piece along its first axis, twice, so that it need not exist as a whole.

    The first time makes the parts, in one map; their convolutions work in it; the second time makes the output in it.

    Args:
        block (Res2Block): One that :func:`can_stream`.
        source (callable): Gives rows of the input, (N, C, rows, ...).
        length (int): Of the first axis.
        voxels (int): Of a row, N times the product of the other axes.

    Returns:
        Tensor: shape (N, out_channels, length, ...).
    """
    step = max(2, PIECE // voxels // 2 * 2)  # even: rows of a map of half the size are whole ones
    pieces = [slice(first, min(first + step, length)) for first in range(0, length, step)]
    y = torch.empty(0)
    enter = FoldedConv(block.conv1, block.norm1)
    for rows in pieces:
        part = block.act(enter(source(rows)))
        if rows.start == 0:
            y = _like(part, length)
        y[:, :, rows] = part
    _convolve_parts(block, y)
    gate = None if block.se is None else _gate(block, y, pieces)
    leave = FoldedConv(block.conv3, block.norm3)
    shortcut = FoldedConv(*block.shortcut) if block.has_projection else block.shortcut
    for rows in pieces:
        out, kept = leave(y[:, :, rows]), shortcut(source(rows))
        y[:, :, rows] = block.act(kept + out if gate is None else torch.addcmul(kept, out, gate))
    return y


def _convolve_parts(block: Any, y: Tensor) -> None:
    step = max(1, PIECE_OF_PARTS // y[0, 0, 0].numel() // len(y))
    for i, (conv, norm) in enumerate(zip(block.convs, block.norms, strict=True), 1):
        part = y.narrow(1, i * block.width, block.width)
        if i > 1:
            part += y.narrow(1, (i - 1) * block.width, block.width)
        _convolve_in_place(part, FoldedConv(conv, norm), block.act, step)


def _convolve_in_place(x: Tensor, conv: FoldedConv, act: nn.Module, step: int) -> None:
    """Replace ``x`` by its convolution, some rows at a time; those before them are kept until they are not needed."""
    halo, length = conv.conv.kernel_size[0] // 2, x.shape[2]
    above = x[:, :, :0]
    for first in range(0, length, step):
        last = min(first + step, length)
        seen = torch.cat((above, x[:, :, first : last + halo]), dim=2)
        start = above.shape[2]
        above = seen[:, :, max(0, start + last - first - halo) : start + last - first].clone()
        # rows at a cut are wrong, for they saw zeros instead of their neighbours: they are not taken
        x[:, :, first:last] = act(conv(seen)[:, :, start : start + last - first])


def _gate(block: Any, y: Tensor, pieces: list[slice]) -> Tensor:
    """Factors of the output: its means over space are those of ``y``, mapped as ``y`` is."""
    axes = tuple(range(2, y.ndim))
    total_type = torch.promote_types(y.dtype, torch.float32)
    # piece by piece: torch adds half precision in a copy of single precision
    total = torch.stack([y[:, :, rows].sum(axes, keepdim=True, dtype=total_type) for rows in pieces]).sum(0)
    mean = (total / y[0, 0].numel()).to(y.dtype)
    return block.se.gate(FoldedConv(block.conv3, block.norm3)(mean))


def _like(part: Tensor, length: int) -> Tensor:
    """A map of whole length, in the memory format of a piece."""
    shape = (*part.shape[:2], length, *part.shape[3:])
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    last = formats.get(part.ndim)
    if last is not None and part.is_contiguous(memory_format=last) and not part.is_contiguous():
        return torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=last)
    return torch.empty(shape, dtype=part.dtype, device=part.device)
