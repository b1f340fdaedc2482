"""A Res2 block for training: its own backward pass keeps the results of convolutions and little else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmseg_medical.models.layers.conv3d import Conv3d, convolution_backward
from mmseg_medical.models.layers.res2_units import Found, Gate, Unit, autocast_as

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, Conv3d)
_threshold_backward = torch.ops.aten.threshold_backward


def can_fuse(block: Any, x: Tensor) -> bool:
    """Whether :func:`fused` may stand in for the block: batch norms that learn, rectifiers, and nobody listening.

    On the CPU alone, where it is measured.
    """
    if not x.is_cpu or not torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    if listened_to(*block.modules()):
        return False
    if not all(p.requires_grad for p in block.parameters()):
        return False
    units = _units(block)
    learn = all(type(n) in _NORMS and n.training and n.momentum is not None and n.affine for _, n in units)
    usual = all(type(c) in _CONVS for c, _ in units) and set(block.conv1.stride) == {1}
    return learn and usual and type(block.act) is nn.ReLU and x[:, 0].numel() > 1  # of one value torch's norm complains


def listened_to(*modules: nn.Module) -> bool:
    """Whether one of the modules has hooks of either pass."""
    kinds = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
    return any(getattr(module, kind) for module in modules for kind in kinds)


def _units(block: Any) -> list[tuple[Any, Any]]:
    """Convolutions and their norms, in the order in which they are computed."""
    units = [(block.conv1, block.norm1), *zip(block.convs, block.norms, strict=True), (block.conv3, block.norm3)]
    return [*units, tuple(block.shortcut)] if block.has_projection else units


def fused(block: Any, x: Tensor, skip: Tensor | None = None, up: Any = None, keep: bool = True) -> Tensor:
    """Compute a block that :func:`can_fuse`.

    What norms and rectifiers give is computed anew in the backward pass, from what convolutions gave and the
    statistics (Rota Bulo et al. 2018, doi:10.1109/CVPR.2018.00591); so is the union of an enlarged map with a skip.
    There are no gradients of gradients.

    Args:
        block (Res2Block): In training.
        x (Tensor): Its input, shape (N, C, *S); or what ``up`` makes the first channels of it.
        skip (Tensor | None): The other channels.
        up (Upsample | None): Transposed convolution that enlarges ``x``.
        keep (bool): Keep what convolutions gave; False: the input and the statistics alone, which no second pass
            changes.

    Returns:
        Tensor: shape (N, out_channels, *S).
    """
    parameters = [*block.parameters(), *(() if up is None else up.parameters())]
    device = x.device.type
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    return _Fused.apply(block, up, (precision, keep), x, skip, *parameters)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, block: Any, up: Any, how: Any, x: Tensor, skip: Any, *parameters: Tensor) -> Tensor:
        ctx.block, ctx.up, ctx.parameters = block, up, parameters
        ctx.precision, ctx.keep = how
        units = [Unit(*layers, ctx.precision) for layers in _units(block)]
        first, *parts, last = units[: len(block.convs) + 2]
        with torch.autocast(x.device.type, enabled=False):
            source = _join(up, x, skip, ctx.precision)
            y = first.forward(source, ctx.keep).relu_()
            for i, unit in enumerate(parts, 1):
                part = _part(block, y, i)
                part.copy_(unit.forward(part + _part(block, y, i - 1) if i > 1 else part, ctx.keep).relu_())
            out = last.forward(y, ctx.keep)
            del y
            ctx.gate = None if block.se is None else Gate(block.se, out, ctx.precision)
            if ctx.gate is not None:
                out.mul_(ctx.gate.factors.detach().to(out.dtype))
            shortcut = units[-1].forward(source, ctx.keep) if block.has_projection else source
            out = (out.add_(shortcut) if shortcut.dtype == out.dtype else out + shortcut).relu_()
        ctx.save_for_backward(x, skip, out, *(kept for u in units for kept in (u.mapped, u.mean, u.scale)))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, skip, out, *kept = ctx.saved_tensors
        block = ctx.block
        found: Found = {}
        units = [Unit(*layers, ctx.precision, *kept[3 * i : 3 * i + 3]) for i, layers in enumerate(_units(block))]
        del kept
        with torch.autocast(x.device.type, enabled=False):
            if not ctx.keep:
                units[0].convolve(_join(ctx.up, x, skip, ctx.precision))
            grad = _threshold_backward(grad, out, 0)
            inner = _inner_backward(block, ctx.gate, units[: len(block.convs) + 2], grad, found)
            wanted = ctx.up is not None or ctx.needs_input_grad[3]
            source = _join(ctx.up, x, skip, ctx.precision)
            if block.has_projection:
                if not ctx.keep:
                    units[-1].convolve(source)
                grad = units[-1].norm_backward(grad, found)
                grad = units[-1].conv_backward(grad, source, found, wanted)
            inner = units[0].conv_backward(inner, source, found, wanted)
            del source
            grads: tuple[Any, Any] = (None, None)
            if wanted:
                grads = _into_source(ctx.up, x, skip, grad.add_(inner), found)
        return (None, None, None, *grads, *(found.get(p) for p in ctx.parameters))


def _inner_backward(block: Any, gate: Any, units: list[Unit], grad: Tensor, found: Found) -> Tensor:
    """From the gradient of the sum with the shortcut to that of what the first convolution gave."""
    first, *parts, last = units
    u = first.normalised().relu_()
    y = u.clone()
    for i, unit in enumerate(parts, 1):
        part = _part(block, y, i)
        if unit.mapped is None:
            unit.convolve(part + _part(block, y, i - 1) if i > 1 else part)
        part.copy_(unit.normalised().relu_())
    if last.mapped is None:
        last.convolve(y)
    inner = grad if gate is None else gate.backward(grad, last.normalised(), found)
    inner = last.norm_backward(inner, found)
    inner = last.conv_backward(inner, y, found)
    for i, unit in reversed(list(enumerate(parts, 1))):
        mine, value = _part(block, inner, i), _part(block, u, i)
        back = _threshold_backward(mine, _part(block, y, i), 0)
        value = value + _part(block, y, i - 1) if i > 1 else value
        back = unit.conv_backward(unit.norm_backward(back, found), value, found)
        mine.copy_(back)
        if i > 1:
            _part(block, inner, i - 1).add_(back)
    del y
    torch.ops.aten.threshold_backward.grad_input(inner, u, 0, grad_input=inner)
    del u
    return first.norm_backward(inner, found)


def _into_source(up: Any, x: Tensor, skip: Any, grad: Tensor, found: Found) -> tuple[Tensor, Any]:
    """Gradients of ``x`` and ``skip`` from that of their union."""
    if up is None:
        return grad.to(x.dtype), None
    channels = up.conv.out_channels
    back, found[up.conv.weight], bias = convolution_backward(up.conv, grad[:, :channels], x.to(grad.dtype))
    if bias is not None:
        found[up.conv.bias] = bias
    return back.to(x.dtype), grad[:, channels:].to(skip.dtype)


def _part(block: Any, x: Tensor, i: int) -> Tensor:
    return x.narrow(1, i * block.width, block.width)


def _raise(up: Any, x: Tensor, precision: Any) -> Tensor:
    with autocast_as(x, precision):
        return up(x)


def _join(up: Any, x: Tensor, skip: Any, precision: Any) -> Tensor:
    return x if up is None else torch.cat((_raise(up, x, precision), skip), dim=1)
