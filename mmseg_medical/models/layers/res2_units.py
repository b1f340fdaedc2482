"""What a Res2 block is made of in training: a convolution with its norm, and squeeze and excitation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmseg_medical.models.layers.conv3d import Conv3d, convolution_backward
from mmseg_medical.models.layers.res2_stream import PIECE

#: gradients of parameters
Found = dict[nn.Parameter, Tensor]


class Unit:
    """A convolution and its norm; keeps what the convolution gave, its mean and its inverse deviation."""

    def __init__(
        self, conv: Any, norm: Any, precision: Any, mapped: Any = None, mean: Any = None, scale: Any = None
    ) -> None:
        self.conv, self.norm, self.precision = conv, norm, precision
        self.mapped, self.mean, self.scale = mapped, mean, scale

    def convolve(self, x: Tensor) -> None:
        """Map (N, C, *S), and keep the result."""
        conv = self.conv
        x = x.to(_dtype(conv, x, self.precision))
        bias = None if conv.bias is None else conv.bias.to(x.dtype)
        self.mapped = conv._conv_forward(x, conv.weight.to(x.dtype), bias)

    def forward(self, x: Tensor, keep: bool) -> Tensor:
        """Convolve and normalise, and let the running statistics move on."""
        norm = self.norm
        self.convolve(x)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        out, self.mean, self.scale = torch.native_batch_norm(
            self.mapped, norm.weight, norm.bias, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
        )
        if not keep:
            self.mapped = None
        return out

    def normalised(self) -> Tensor:
        """What the norm gave."""
        norm, variance = self.norm, self.scale.pow(-2)
        return torch.native_batch_norm(self.mapped, norm.weight, norm.bias, self.mean, variance, False, 0.0, 0.0)[0]

    def norm_backward(self, grad: Tensor, found: Found) -> Tensor:
        """From the gradient of the norm's output to that of its input, which is not needed any more."""
        norm, mapped = self.norm, self.mapped
        self.mapped = None
        back, found[norm.weight], found[norm.bias] = torch.ops.aten.native_batch_norm_backward(
            grad.to(mapped.dtype), mapped, norm.weight, None, None, self.mean, self.scale, True, norm.eps, [True] * 3
        )
        return back

    def conv_backward(self, grad: Tensor, x: Tensor, found: Found, wanted: bool = True) -> Any:
        """From the gradient of the convolution's output to that of its input ``x``, or None if that is not wanted."""
        conv = self.conv
        back, weight, bias = convolution_backward(conv, grad, x.to(grad.dtype), wanted)
        found[conv.weight] = weight.to(conv.weight.dtype)
        if bias is not None:
            found[conv.bias] = bias.to(conv.bias.dtype)
        return back


class Gate:
    """Factors of squeeze and excitation; keeps their own graph, which has no map in it."""

    def __init__(self, se: Any, x: Tensor, precision: Any) -> None:
        self.se = se
        self.voxels = x[0, 0].numel()
        with torch.enable_grad(), autocast_as(x, precision):
            self.mean = (_sum(x) / self.voxels).to(x.dtype).requires_grad_()
            self.factors = se.gate(self.mean)

    def backward(self, grad: Tensor, x: Tensor, found: Found) -> Tensor:
        """From the gradient of the product with ``x`` to that of ``x``, in whose place it is put."""
        factors = self.factors.detach()
        parameters = list(self.se.parameters())
        of_mean, *rest = torch.autograd.grad(
            self.factors, (self.mean, *parameters), _sum(x, grad).to(factors.dtype), retain_graph=True
        )
        found.update(zip(parameters, rest, strict=True))
        if x.dtype != grad.dtype:
            x = torch.empty_like(grad)
        return torch.mul(grad, factors.to(grad.dtype), out=x).add_((of_mean / self.voxels).to(grad.dtype))


def _sum(x: Tensor, factor: Tensor | None = None) -> Tensor:
    """Sum over space, (N, C, 1, ...), row by row: torch adds half precision in a copy of single precision."""
    axes, kind = tuple(range(2, x.ndim)), torch.promote_types(x.dtype, torch.float32)
    step = max(1, PIECE // x[:, 0, 0].numel())
    pieces = [slice(i, i + step) for i in range(0, x.shape[2], step)]
    values = (x[:, :, rows] if factor is None else x[:, :, rows] * factor[:, :, rows] for rows in pieces)
    return torch.stack([value.sum(axes, keepdim=True, dtype=kind) for value in values]).sum(0)


def _dtype(conv: Any, x: Tensor, precision: Any) -> torch.dtype:
    """That of autocast, but for what :class:`Conv3d` leaves out."""
    if precision is None:
        return x.dtype
    return torch.float32 if isinstance(conv, Conv3d) and x.is_cpu and min(x.shape[2:]) < 3 else precision


def autocast_as(x: Tensor, precision: Any) -> Any:
    """Context of autocast to ``precision``, or of none."""
    # without a cache: it would hand weights that were cast here, without a gradient, to others
    return torch.autocast(x.device.type, precision, enabled=precision is not None, cache_enabled=False)
